// A namespace that the file imports is imported by the patch; nothing else is taken over from its description.

#define MODULE_INFO(name, text) static const char name[] __attribute__((used, section(".modinfo"), aligned(1))) = text
MODULE_INFO(ns, "import_ns=CXL");
MODULE_INFO(builtin_ns, "i915.import_ns=DMA_BUF");
#ifdef PATCHED
MODULE_INFO(description, "description=after");
#else
MODULE_INFO(description, "description=before");
#endif
int f(int x)
{
#ifdef PATCHED
	return x * 5;
#else
	return x * 3;
#endif
}
