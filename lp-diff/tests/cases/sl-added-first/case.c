// Two static locals of one name in a function that changed cannot be told apart: refused.
//#Known: clang-19 wrong because static locals of one name are not seen to be such in clang's spelling
//#Known: clang-14 wrong because static locals of one name are not seen to be such in clang's spelling

extern void rare(int);
void f(int x){
#ifdef PATCHED
 { static int last; if(x>last) rare(last); last=x+1; }
#endif
 { static int last; rare(last); last=x; }
}
