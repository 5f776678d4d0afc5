// What a module exports itself is reached as that module's own.
//#Object: nf_tables
//#Symvers: nft_register nf_tables

__attribute__((noinline)) int nft_register(int x)
{
	asm volatile("" : "+r"(x));
	return x;
}

int f(int x)
{
#ifdef PATCHED
	return nft_register(x) + 1;
#else
	return nft_register(x);
#endif
}
