/* The library of programs that cannot load ours: it does nothing, and needs nothing. */
typedef int nothing;
