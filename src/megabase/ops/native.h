/* Vectors as wide as those of this CPU: LANES floats. */

#include <stdint.h>

#ifdef __AVX512F__
#define LANES 16
#else
#define LANES 8
#endif

typedef int64_t number;
typedef float lanes __attribute__((vector_size(4 * LANES), may_alias));
typedef int32_t int_lanes __attribute__((vector_size(4 * LANES)));
