// DDPM_HD marks formulas that both backends share.
#pragma once

#ifdef __CUDACC__
#define DDPM_HD __host__ __device__
#else
#define DDPM_HD
#endif
