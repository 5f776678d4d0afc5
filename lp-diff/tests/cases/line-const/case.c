// A number behind the name of the function is a line only if it is one.

extern int wait_ready(const char *who, int timeout_ms);
extern void note(const char *f, int);
int f(void){
#ifdef PATCHED
 return wait_ready(__func__, 5000) + 1;
#else
 return wait_ready(__func__, 10) + 1;
#endif
}
