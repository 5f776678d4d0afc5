// The end of a table and the start of what now follows it look alike: refused rather than guessed.

#define __read_mostly __attribute__((section(".data..read_mostly")))
struct e { long a,b; };
extern void use(struct e*);
#ifdef PATCHED
static long limit __read_mostly = 3;
#endif
static struct e tbl[4] __read_mostly = {{1,2},{3,4}};
#ifdef PATCHED
static long limit2 __read_mostly = 3;
#endif
void set(int i, int x){ tbl[i].a=x; }
int f(int x){
 struct e*p;
 for(p=tbl;p<tbl+4;p++){
#ifdef PATCHED
 if(p->a>limit+limit2) continue;
#endif
 use(p); }
#ifdef PATCHED
 limit++; limit2++;
#endif
 return x; }
