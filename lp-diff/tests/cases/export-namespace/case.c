// An export of a namespace is imported by that.
//#Symvers: dma_buf_get vmlinux DMA_BUF

extern void *dma_buf_get(int);

void *f(int fd)
{
#ifdef PATCHED
	return dma_buf_get(fd + 1);
#else
	return dma_buf_get(fd);
#endif
}
