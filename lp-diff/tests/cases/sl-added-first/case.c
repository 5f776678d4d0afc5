// Two static locals of one name in a function that changed cannot be told apart: refused.

extern void rare(int);
void f(int x){
#ifdef PATCHED
 { static int last; if(x>last) rare(last); last=x+1; }
#endif
 { static int last; rare(last); last=x; }
}
