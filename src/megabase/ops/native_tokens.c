/* The steps that steps.py defines, each in one pass over the memory; rows of tokens are
   contiguous. */

#include <math.h>

#include "native.h"

typedef float unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

/* exp(x) = 2^n exp(f) with n = round(x / ln 2), and the polynomial of the Cephes library for
   exp(f), |f| <= ln 2 / 2. */
static inline lanes exponential(lanes x) {
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number */
    lanes shifted = x * 1.44269504f + magic;
    lanes n = shifted - magic;
    /* ln 2 in two parts, so that the subtraction is exact to the last bits */
    lanes f = x - n * 0.693359375f + n * 2.12194440e-4f;
    lanes p = f * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 5.0000001201e-1f;
    p = p * f * f + f + 1.0f;
    /* the low bits of `shifted` hold n; shifted into the exponent of 1.0 they make 2^n */
    return p * (lanes)(((int_lanes)shifted << 23) + 0x3f800000);
}

/* x sigmoid(x + cubic x^3). The exponent is limited to +-80, where exp neither overflows nor
   underflows; NaN passes through, because it compares false. */
static inline lanes gelu_of(lanes x, float cubic) {
    lanes minus = x * (x * x * -cubic - 1.0f);
    lanes limit = (lanes){0} + 80.0f;
    int_lanes above = minus > limit, below = minus < -limit;
    minus = (lanes)(((int_lanes)limit & above) | ((int_lanes)(-limit) & below) |
                    ((int_lanes)minus & ~above & ~below));
    return x / (exponential(minus) + 1.0f);
}

void gelu_tokens(float *x, const float *bias, number n_rows, number n, float cubic) {
#pragma omp parallel for schedule(static)
    for (number r = 0; r < n_rows; r++) {
        float *row = x + r * n;
        number i = 0;
        for (; i + LANES <= n; i += LANES)
            *(unaligned *)(row + i) =
                gelu_of(*(unaligned *)(row + i) + *(unaligned *)(bias + i), cubic);
        lanes last = {0};
        for (number j = i; j < n; j++) last[j - i] = row[j] + bias[j];
        last = gelu_of(last, cubic);
        for (number j = i; j < n; j++) row[j] = last[j - i];
    }
}

void read_tokens(float *r, const float *normed, const float *scale, const float *bias,
                 number n_rows, number n) {
#pragma omp parallel for schedule(static)
    for (number row = 0; row < n_rows; row++)
        for (number i = 0; i < n; i++) r[row * n + i] = bias[i] + normed[row * n + i] * scale[row];
}

/* Normalise a row; return its mean, and write its standard deviation. */
static inline float norm_of(float *out, const float *x, number n, float eps, float *deviation) {
    float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (number i = 0; i < n; i++) sum += x[i];
    float mean = sum / n;
#pragma omp simd reduction(+ : squares)
    for (number i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    *deviation = sqrtf(squares / n + eps);
    float inverse = 1 / *deviation;
    for (number i = 0; i < n; i++) out[i] = (x[i] - mean) * inverse;
    return mean;
}

void norm_tokens(float *out, const float *x, number n_rows, number n, float eps) {
#pragma omp parallel for schedule(static)
    for (number r = 0; r < n_rows; r++) {
        float deviation;
        norm_of(out + r * n, x + r * n, n, eps, &deviation);
    }
}

void write_tokens(float *normed, float *scale, float *mean, float *r, const float *bias,
                  number n_rows, number n, float eps) {
#pragma omp parallel for schedule(static)
    for (number row = 0; row < n_rows; row++) {
        float *x = r + row * n;
        for (number i = 0; i < n; i++) x[i] += bias[i];
        mean[row] += norm_of(normed + row * n, x, n, eps, scale + row);
    }
}
