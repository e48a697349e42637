/* Signals of LANES channels, one channel in each lane of a vector, and their transforms.

   A causal convolution of real signals is computed from complex signals of n points, where n is
   at least their length: with the twist w = exp(i pi / 2n), the product of the spectra of w^j x_j
   and w^j h_j is the spectrum of w^j (y_j + i y_(j+n)), so that y is a real part. Spectra are
   never reordered: the inverse transform undoes the order of the forward one. */

#include "native.h"

#define BLOCK 256 /* tokens that are processed at once, so that buffers stay in the cache */

typedef struct {
    lanes re, im;
} point;

/* A tensor (batch, channel, length), with the strides of batch and channel. */
typedef struct {
    float *start;
    number batch, channel;
} rows;

/* The short filter of each channel; see ShortFilter in gated_conv.py. */
typedef struct {
    const float *taps, *bias, *edge;
    number n_taps;
} filter;

/* Inputs, output and working memory (`scratch`) of the mixing; see NativeMixer. Twiddles are w^j,
   w^2j, w^3j with w = exp(-2 pi i / length) for each length of a transform, from n down; the
   twist is exp(i pi j / 2n). */
typedef struct {
    rows out, last, first, value;
    filter last_filter, first_filter, value_filter;
    const uint8_t *mask;
    const float *taps, *spectra, *twiddles, *twist;
    float *scratch;
    number batch, n_channels, length, n, n_taps_apart, n_threads;
} mixing;

static inline point plus(point a, point b) { return (point){a.re + b.re, a.im + b.im}; }

static inline point minus(point a, point b) { return (point){a.re - b.re, a.im - b.im}; }

static inline point times_i(point a) { return (point){-a.im, a.re}; }

static inline point times(point a, const float *w) {
    return (point){a.re * w[0] - a.im * w[1], a.re * w[1] + a.im * w[0]};
}

static inline point times_conjugate(point a, const float *w) {
    return (point){a.re * w[0] + a.im * w[1], a.im * w[0] - a.re * w[1]};
}

static inline void butterfly(point *x) {
    point a = x[0], b = x[1];
    x[0] = plus(a, b);
    x[1] = minus(a, b);
}

/* Replace a signal by its spectrum: radix 4, decimation in frequency, n a power of two. The four
   quarters become transforms of the frequencies 0, 2, 1 and 3 modulo 4, so that the spectrum is
   in bit-reversed order. */
static inline void transform(point *x, number n, const float *w) {
    if (n == 2) butterfly(x);
    if (n < 4) return;
    number quarter = n / 4;
    for (number j = 0; j < quarter; j++, w += 6) {
        point *a = x + j, *b = a + quarter, *c = b + quarter, *d = c + quarter;
        point even = plus(*a, *c), odd = minus(*a, *c);
        point other = plus(*b, *d), turned = times_i(minus(*b, *d));
        *a = plus(even, other);
        *b = times(minus(even, other), w + 2);
        *c = times(minus(odd, turned), w);
        *d = times(plus(odd, turned), w + 4);
    }
    for (number k = 0; k < 4; k++) transform(x + k * quarter, quarter, w);
}

/* Replace a spectrum in the order of `transform` by n times its signal: the steps of `transform`
   in reverse, with conjugate twiddles. */
static inline void inverse_transform(point *x, number n, const float *w) {
    if (n == 2) butterfly(x);
    if (n < 4) return;
    number quarter = n / 4;
    for (number k = 0; k < 4; k++) inverse_transform(x + k * quarter, quarter, w + 6 * quarter);
    for (number j = 0; j < quarter; j++, w += 6) {
        point *a = x + j, *b = a + quarter, *c = b + quarter, *d = c + quarter;
        point first = times_conjugate(*b, w + 2), second = times_conjugate(*c, w);
        point third = times_conjugate(*d, w + 4);
        point even = plus(*a, first), odd = minus(*a, first);
        point other = plus(second, third), turned = times_i(minus(second, third));
        *a = plus(even, other);
        *b = plus(odd, turned);
        *c = minus(even, other);
        *d = minus(odd, turned);
    }
}

/* Write n outputs of the short filter of a channel, from the token `start` on. */
static inline void filtered(float *out, const float *x, const filter *f, number channel,
                            number start, number n) {
    number before = f->n_taps - 1;
    const float *taps = f->taps + channel * f->n_taps, *edge = f->edge + channel * before;
    for (number i = 0; i < n; i++) out[i] = f->bias[channel] + taps[before] * x[start + i];
    for (number lag = 1; lag <= before; lag++)
        for (number i = start < lag ? lag - start : 0; i < n; i++)
            out[i] += taps[before - lag] * x[start + i - lag];
    for (number i = start; i < before && i < start + n; i++) out[i - start] += edge[i];
}

static inline float *row_of(const rows *t, number batch, number channel) {
    return t->start + batch * t->batch + channel * t->channel;
}

/* Write a block of every lane to a signal, times the twist. */
static inline void twisted(point *x, float block[LANES][BLOCK], const float *twist, number n) {
    for (number i = 0; i < n; i++) {
        lanes value;
        for (int lane = 0; lane < LANES; lane++) value[lane] = block[lane][i];
        x[i] = (point){value * twist[2 * i], value * twist[2 * i + 1]};
    }
}

/* Write the real parts of a signal divided by the twist to a block of every lane. */
static inline void untwisted(float block[LANES][BLOCK], const point *x, const float *twist,
                             number n) {
    for (number i = 0; i < n; i++) {
        lanes y = x[i].re * twist[2 * i] + x[i].im * twist[2 * i + 1];
        for (int lane = 0; lane < LANES; lane++) block[lane][i] = y[lane];
    }
}

static inline number minimum(number a, number b) { return a < b ? a : b; }

/* Write zeros after a signal, up to n points. */
static inline void padded(point *x, const mixing *m) {
    for (number i = m->length; i < m->n; i++) x[i] = (point){{0}, {0}};
}

/* Write the filtered first gate times the filtered value, masked and twisted. */
static inline void load_gated_value(point *x, const mixing *m, number batch, number channel) {
    float block[LANES][BLOCK], value[BLOCK];
    for (number start = 0; start < m->length; start += BLOCK) {
        number n = minimum(BLOCK, m->length - start);
        for (number lane = 0; lane < LANES; lane++) {
            float *z = block[lane];
            number c = channel + lane;
            filtered(z, row_of(&m->first, batch, c), &m->first_filter, c, start, n);
            filtered(value, row_of(&m->value, batch, c), &m->value_filter, c, start, n);
            for (number i = 0; i < n; i++) z[i] *= value[i];
            const uint8_t *mask = m->mask ? m->mask + batch * m->length + start : 0;
            for (number i = 0; mask && i < n; i++) z[i] = mask[i] ? z[i] : 0;
        }
        twisted(x + start, block, m->twist + 2 * start, n);
    }
    padded(x, m);
}

/* Write the spectra of the long filters, divided by n to normalise the inverse transform. */
static inline void filter_spectra(point *x, const mixing *m, number channel) {
    float block[LANES][BLOCK], scale = 1.0f / m->n;
    for (number start = 0; start < m->length; start += BLOCK) {
        number n = minimum(BLOCK, m->length - start);
        for (number lane = 0; lane < LANES; lane++) {
            const float *taps = m->taps + (channel + lane) * m->n_taps_apart + start;
            for (number i = 0; i < n; i++) block[lane][i] = taps[i] * scale;
        }
        twisted(x + start, block, m->twist + 2 * start, n);
    }
    padded(x, m);
    transform(x, m->n, m->twiddles);
}

static inline void multiply(point *x, const point *h, number n) {
    for (number k = 0; k < n; k++) {
        point a = x[k], b = h[k];
        x[k] = (point){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
    }
}
