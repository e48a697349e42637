/* The mixing of a Hyena operator of order 2; see NativeMixer in native_mixer.py. */

#include <omp.h>

#include "native_signals.h"

/* Write the convolution times the filtered last gate. */
static void store_gated(const point *x, const mixing *m, number batch, number channel) {
    float block[LANES][BLOCK], gate[BLOCK];
    for (number start = 0; start < m->length; start += BLOCK) {
        number n = minimum(BLOCK, m->length - start);
        untwisted(block, x + start, m->twist + 2 * start, n);
        for (number lane = 0; lane < LANES; lane++) {
            number c = channel + lane;
            float *out = row_of(&m->out, batch, c) + start;
            filtered(gate, row_of(&m->last, batch, c), &m->last_filter, c, start, n);
            for (number i = 0; i < n; i++) out[i] = gate[i] * block[lane][i];
        }
    }
}

int n_lanes(void) { return LANES; }

/* Write the spectra of the long filters of all channels to `scratch`, in the layout that
   mix_channels reads. */
void spectra_of_channels(const mixing *m) {
#pragma omp parallel for schedule(dynamic) num_threads(m->n_threads)
    for (number c = 0; c < m->n_channels; c += LANES)
        filter_spectra((point *)(m->scratch + 2 * c * m->n), m, c);
}

/* Mix LANES channels of a sequence; h are the spectra of their filters, x is working memory. */
static void mix(point *x, const point *h, const mixing *m, number batch, number channel) {
    load_gated_value(x, m, batch, channel);
    transform(x, m->n, m->twiddles);
    multiply(x, h, m->n);
    inverse_transform(x, m->n, m->twiddles);
    store_gated(x, m, batch, channel);
}

/* Mix all channels. Each thread has working memory for two signals of n points in all lanes. */
void mix_channels(const mixing *m) {
#pragma omp parallel num_threads(m->n_threads)
    {
        point *x = (point *)m->scratch + 2 * m->n * omp_get_thread_num(), *h = x + m->n;
        if (m->spectra) {
#pragma omp for collapse(2) schedule(dynamic)
            for (number c = 0; c < m->n_channels; c += LANES)
                for (number b = 0; b < m->batch; b++)
                    mix(x, (const point *)(m->spectra + 2 * c * m->n), m, b, c);
        } else {
#pragma omp for schedule(dynamic)
            for (number c = 0; c < m->n_channels; c += LANES) {
                filter_spectra(h, m, c);
                for (number b = 0; b < m->batch; b++) mix(x, h, m, b, c);
            }
        }
    }
}
