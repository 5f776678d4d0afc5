// What is in a callback's section must be a pointer to a function.
#ifdef PATCHED
__attribute__((used, section(".livepatch.callbacks.pre_patch"))) static const int number = 7;
#endif
int counter;
