// What neither the target nor its exports have must come from another file of the patch.

#ifdef PATCHED
extern int new_elsewhere(int);
#endif

int f(int x)
{
#ifdef PATCHED
	return new_elsewhere(x);
#else
	return x;
#endif
}
