// The vector intrinsics of x86. g++ 12 takes the "undefined" operands inside its own AVX-512 ones
// for uninitialised variables (GCC bug 105593); nothing else is silenced.
#pragma once

#if defined(__x86_64__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif
