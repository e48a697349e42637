/* The gradient of the mixing; see native_mixer.py. The gradient of a convolution is a correlation,
   which is computed as a convolution with the reversed signal. */

#include <omp.h>
#include <stddef.h>

#include "native_signals.h"

/* Where to write the gradients of a short filter. */
typedef struct {
    float *taps, *bias, *edge;
} filter_gradient;

/* The inputs of the mixing, the gradient of its output, and where to write the others. */
typedef struct {
    mixing of;
    rows d_out, d_last, d_first, d_value;
    filter_gradient d_last_filter, d_first_filter, d_value_filter;
    float *d_long;
} gradient;

/* Write the gradient of the filtered last gate, and that of the convolution to d_first, which
   gates_backward overwrites later. */
static void last_gate_backward(const point *conv, const gradient *g, number batch, number channel) {
    const mixing *m = &g->of;
    float block[LANES][BLOCK], gate[BLOCK];
    for (number start = 0; start < m->length; start += BLOCK) {
        number n = minimum(BLOCK, m->length - start);
        untwisted(block, conv + start, m->twist + 2 * start, n);
        for (number lane = 0; lane < LANES; lane++) {
            number c = channel + lane;
            const float *d_out = row_of(&g->d_out, batch, c) + start;
            float *d_last = row_of(&g->d_last, batch, c) + start;
            float *d_conv = row_of(&g->d_first, batch, c) + start;
            filtered(gate, row_of(&m->last, batch, c), &m->last_filter, c, start, n);
            for (number i = 0; i < n; i++) {
                d_last[i] = d_out[i] * block[lane][i];
                d_conv[i] = d_out[i] * gate[i];
            }
        }
    }
}

/* Write rows in reverse order, twisted. */
static void load_reversed(point *x, const rows *t, const mixing *m, number batch,
                           number channel) {
    float block[LANES][BLOCK];
    for (number start = 0; start < m->length; start += BLOCK) {
        number n = minimum(BLOCK, m->length - start);
        for (number lane = 0; lane < LANES; lane++) {
            const float *end = row_of(t, batch, channel + lane) + m->length - 1 - start;
            for (number i = 0; i < n; i++) block[lane][i] = end[-i];
        }
        twisted(x + start, block, m->twist + 2 * start, n);
    }
    padded(x, m);
}

/* Write the gradients of the filtered first gate and value; dz is the reversed gradient of their
   product. */
static void gates_backward(const point *dz, const gradient *g, number batch, number channel) {
    const mixing *m = &g->of;
    float block[LANES][BLOCK], first[BLOCK], value[BLOCK];
    for (number start = 0; start < m->length; start += BLOCK) {
        number n = minimum(BLOCK, m->length - start), from = m->length - start - n;
        untwisted(block, dz + start, m->twist + 2 * start, n);
        const uint8_t *mask = m->mask ? m->mask + batch * m->length + from : 0;
        for (number lane = 0; lane < LANES; lane++) {
            number c = channel + lane;
            float *d_first = row_of(&g->d_first, batch, c) + from;
            float *d_value = row_of(&g->d_value, batch, c) + from;
            filtered(first, row_of(&m->first, batch, c), &m->first_filter, c, from, n);
            filtered(value, row_of(&m->value, batch, c), &m->value_filter, c, from, n);
            for (number i = 0; i < n; i++) {
                float d = mask && !mask[i] ? 0 : block[lane][n - 1 - i];
                d_first[i] = d * value[i];
                d_value[i] = d * first[i];
            }
        }
    }
}

/* Add the gradients of a short filter to `to`, and replace d, the gradient of its output, by that
   of its stream. Blocks are replaced from the start, because a block only needs the gradients at
   its own tokens and at later ones. */
static void filtered_backward(float *d, const float *x, const filter *f, const filter_gradient *to,
                              number channel, number length) {
    number before = f->n_taps - 1;
    const float *taps = f->taps + channel * f->n_taps;
    float *d_taps = to->taps + channel * f->n_taps, *d_edge = to->edge + channel * before;
    for (number i = 0; i < before && i < length; i++) d_edge[i] += d[i];
    for (number start = 0; start < length; start += BLOCK) {
        number n = minimum(BLOCK, length - start);
        float sum = 0, d_stream[BLOCK] = {0};
#pragma omp simd reduction(+ : sum)
        for (number i = 0; i < n; i++) sum += d[start + i];
        to->bias[channel] += sum;
        for (number lag = 0; lag <= before; lag++) {
            float product = 0, tap = taps[before - lag];
            number first = start < lag ? minimum(n, lag - start) : 0;
#pragma omp simd reduction(+ : product)
            for (number i = first; i < n; i++) product += d[start + i] * x[start + i - lag];
            d_taps[before - lag] += product;
            number last = minimum(n, length - lag - start);
            for (number i = 0; i < last; i++) d_stream[i] += tap * d[start + i + lag];
        }
        for (number i = 0; i < n; i++) d[start + i] = d_stream[i];
    }
}

static void streams_backward(const gradient *g, number batch, number channel) {
    const mixing *m = &g->of;
    for (number c = channel; c < channel + LANES; c++) {
        filtered_backward(row_of(&g->d_last, batch, c), row_of(&m->last, batch, c),
                          &m->last_filter, &g->d_last_filter, c, m->length);
        filtered_backward(row_of(&g->d_first, batch, c), row_of(&m->first, batch, c),
                          &m->first_filter, &g->d_first_filter, c, m->length);
        filtered_backward(row_of(&g->d_value, batch, c), row_of(&m->value, batch, c),
                          &m->value_filter, &g->d_value_filter, c, m->length);
    }
}

static void add_product(point *sum, const point *x, const point *y, number n) {
    for (number k = 0; k < n; k++) {
        sum[k].re += x[k].re * y[k].re - x[k].im * y[k].im;
        sum[k].im += x[k].re * y[k].im + x[k].im * y[k].re;
    }
}

/* Write the gradient of the long filter; `sum` is the spectrum of its reverse. */
static void long_backward(point *sum, const gradient *g, number channel) {
    const mixing *m = &g->of;
    float block[LANES][BLOCK], scale = 1.0f / m->n;
    inverse_transform(sum, m->n, m->twiddles);
    for (number start = 0; start < m->length; start += BLOCK) {
        number n = minimum(BLOCK, m->length - start);
        untwisted(block, sum + start, m->twist + 2 * start, n);
        for (number lane = 0; lane < LANES; lane++) {
            float *end = g->d_long + (channel + lane + 1) * m->length - 1 - start;
            for (number i = 0; i < n; i++) end[-i] = block[lane][i] * scale;
        }
    }
}

/* Write all gradients. Each thread has working memory for four signals of n points in all lanes. */
void mix_channels_backward(const gradient *g) {
    const mixing *m = &g->of;
#pragma omp parallel for schedule(dynamic) num_threads(m->n_threads)
    for (number c = 0; c < m->n_channels; c += LANES) {
        point *h = (point *)m->scratch + 4 * m->n * omp_get_thread_num();
        point *z = h + m->n, *x = z + m->n, *sum = x + m->n;
        filter_spectra(h, m, c);
        for (number k = 0; k < m->n; k++) sum[k] = (point){{0}, {0}};
        for (number b = 0; b < m->batch; b++) {
            load_gated_value(z, m, b, c);
            transform(z, m->n, m->twiddles);
            for (number k = 0; k < m->n; k++) x[k] = z[k];
            multiply(x, h, m->n);
            inverse_transform(x, m->n, m->twiddles); /* x: the convolution */
            last_gate_backward(x, g, b, c);
            load_reversed(x, &g->d_first, m, b, c);
            transform(x, m->n, m->twiddles); /* x: the reversed gradient of the convolution */
            add_product(sum, x, z, m->n);
            multiply(x, h, m->n);
            inverse_transform(x, m->n, m->twiddles);
            gates_backward(x, g, b, c);
            streams_backward(g, b, c);
        }
        long_backward(sum, g, c);
    }
}

/* The offset of each field and the size of each structure. Python compares them with its own
   definitions before it calls anything else; see check_layout in native_mixer.py. */
#define AT(structure, field) {#structure "." #field, offsetof(structure, field)}
#define SIZE(structure) {#structure, sizeof(structure)}
static const struct {
    const char *name;
    number place;
} layout[] = {
    AT(rows, start), AT(rows, batch), AT(rows, channel), SIZE(rows),
    AT(filter, taps), AT(filter, bias), AT(filter, edge), AT(filter, n_taps), SIZE(filter),
    AT(mixing, out), AT(mixing, last), AT(mixing, first), AT(mixing, value),
    AT(mixing, last_filter), AT(mixing, first_filter), AT(mixing, value_filter), AT(mixing, mask),
    AT(mixing, taps), AT(mixing, spectra), AT(mixing, twiddles), AT(mixing, twist),
    AT(mixing, scratch), AT(mixing, batch), AT(mixing, n_channels), AT(mixing, length),
    AT(mixing, n), AT(mixing, n_taps_apart), AT(mixing, n_threads), SIZE(mixing),
    AT(filter_gradient, taps), AT(filter_gradient, bias), AT(filter_gradient, edge),
    SIZE(filter_gradient),
    AT(gradient, of), AT(gradient, d_out), AT(gradient, d_last), AT(gradient, d_first),
    AT(gradient, d_value), AT(gradient, d_last_filter), AT(gradient, d_first_filter),
    AT(gradient, d_value_filter), AT(gradient, d_long), SIZE(gradient),
};

number n_places(void) { return sizeof(layout) / sizeof(layout[0]); }

const char *name_of_place(number i) { return layout[i].name; }

number place_of(number i) { return layout[i].place; }
