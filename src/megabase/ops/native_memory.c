// Counts and pointers of what was read; ops/memory.py states the definition in equations.
//
// A memory may begin after a base: another memory that is not changed any more, whose letters
// precede its own. Gaps of the base count as unknown letters. Positions count from the first letter
// of the base; indices into a text count from its own first letter.
//
// A memory stores letters (0 to 3, 4 for an unknown one) and, after each, may write the features
// that help to predict the next. Everything is an integer until a feature is written, so that
// results do not depend on the order in which numbers are added, nor on how a sequence is cut.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
  MOST_ORDERS = 24,
  MOST_SEEDS = 4,        // pointer orders
  MOST_POINTERS = 256,
  UNKNOWN = 4,
  FRONT = 32,            // unknown letters before the first, so that a word may reach back
  SHORT_WINDOW = 8,      // tokens of the two averages of code lengths
  LONG_WINDOW = 64,      // a power of two: a ring
  SET_WINDOW = 16,
  LONGEST_RUN = 255,     // exact match lengths beyond this are not distinguished
  AHEAD = 12,            // letters between a prefetch and its use
  SPARE = 16,            // bytes after the last letter, so that a word may reach beyond
  SHORT_TEXT = 1 << 20,  // letters up to which tables are made large enough at once
  N_LOGS = 4096,
  N_ODDS = 33 * 16,
  PER_ORDER = 7,
  PER_POINTERS = 19,
};

#define MOST_COUNT ((1u << 20) - 1)  // counts of orders above 6 saturate here
#define NOWHERE UINT32_MAX           // ends a chain
#define COST_UNIT 1024.0f            // fixed-point code lengths, per nat
#define ODDS_UNIT 1024.0f            // fixed-point log-odds, per nat

typedef struct {
  int32_t n_orders, orders[MOST_ORDERS];
  int32_t n_seeds, seeds[MOST_SEEDS];
  int32_t n_pointers;   // followed at once
  int32_t n_recent;     // occurrences of a seed that are looked at, on each strand
  int32_t n_agreeing;   // of the last 32 pairs, for a pointer to be found,
  int32_t n_exact;      // or all of the last n_exact pairs
  int32_t n_right;      // of the last 16 predictions, for a pointer to be kept
  int32_t life;         // letters after which a pointer must have been found again
} Settings;

// ---------------------------------------------------------------------------------- letters

typedef struct {
  int64_t n, room;
  uint8_t *letters;  // with FRONT unknown letters before the first
  uint8_t *packed;   // 2 bits a letter, the same offset
  uint8_t *known;    // 1 bit a letter, the same offset
} Text;

static int text_grow(Text *text, int64_t n) {
  if (n <= text->room) return 0;
  int64_t room = text->room + text->room / 2 > n ? text->room + text->room / 2 : n;
  room = (room + 63) & ~(int64_t)63;
  uint8_t *letters = realloc(text->letters, room + FRONT);
  if (letters) text->letters = letters;
  uint8_t *packed = realloc(text->packed, (room + FRONT) / 4 + SPARE);
  if (packed) text->packed = packed;
  uint8_t *known = realloc(text->known, (room + FRONT) / 8 + SPARE);
  if (known) text->known = known;
  if (!letters || !packed || !known) return 1;
  if (!text->room) {
    memset(letters, UNKNOWN, FRONT);
    memset(packed, 0, FRONT / 4);
    memset(known, 0, FRONT / 8);
  }
  int64_t used = text->n + FRONT;  // a multiple of 4 or not: the last bytes are completed by push
  memset(packed + (used + 3) / 4, 0, (room + FRONT) / 4 + SPARE - (used + 3) / 4);
  memset(known + (used + 7) / 8, 0, (room + FRONT) / 8 + SPARE - (used + 7) / 8);
  text->room = room;
  return 0;
}

static inline void text_push(Text *text, int letter) {
  int64_t i = text->n + FRONT;
  text->letters[i] = (uint8_t)letter;
  if (letter < UNKNOWN) {
    text->packed[i >> 2] |= (uint8_t)(letter << (2 * (i & 3)));
    text->known[i >> 3] |= (uint8_t)(1 << (i & 7));
  }
  text->n++;
}

static inline int text_at(const Text *text, int64_t i) { return text->letters[i + FRONT]; }

// The 32 letters that end at e, the oldest in the lowest bits.
static inline uint64_t text_word(const Text *text, int64_t e) {
  int64_t first = e - 31 + FRONT;
  const uint8_t *at = text->packed + (first >> 2);
  int shift = 2 * (int)(first & 3);
  uint64_t word;
  memcpy(&word, at, 8);
  return shift ? word >> shift | (uint64_t)at[8] << (64 - shift) : word;
}

static inline uint32_t text_known(const Text *text, int64_t e) {
  int64_t first = e - 31 + FRONT;
  uint64_t bits;
  memcpy(&bits, text->known + (first >> 3), 8);
  return (uint32_t)(bits >> (first & 7));
}

// One bit for each of 32 letters that is equal in two words.
static inline uint32_t equal_letters(uint64_t a, uint64_t b) {
  uint64_t z = a ^ b;
  z = ~(z | z >> 1) & 0x5555555555555555ull;
  z = (z | z >> 1) & 0x3333333333333333ull;
  z = (z | z >> 2) & 0x0f0f0f0f0f0f0f0full;
  z = (z | z >> 4) & 0x00ff00ff00ff00ffull;
  z = (z | z >> 8) & 0x0000ffff0000ffffull;
  return (uint32_t)(z | z >> 16);
}

static inline uint32_t reversed_bits(uint32_t v) {
  v = (v >> 1 & 0x55555555u) | (v & 0x55555555u) << 1;
  v = (v >> 2 & 0x33333333u) | (v & 0x33333333u) << 2;
  v = (v >> 4 & 0x0f0f0f0fu) | (v & 0x0f0f0f0fu) << 4;
  return __builtin_bswap32(v);
}

// A word with its letters in the opposite order.
static inline uint64_t reversed_pairs(uint64_t v) {
  v = (v >> 2 & 0x3333333333333333ull) | (v & 0x3333333333333333ull) << 2;
  v = (v >> 4 & 0x0f0f0f0f0f0f0f0full) | (v & 0x0f0f0f0f0f0f0f0full) << 4;
  return __builtin_bswap64(v);
}

// Known letters without a gap that end at e, at most 32.
static inline int text_run(const Text *text, int64_t e) {
  uint32_t known = text_known(text, e);
  return ~known ? __builtin_clz(~known) : 32;
}

static inline uint64_t hashed(uint64_t kmer) {
  kmer *= 0x9E3779B97F4A7C15ull;
  kmer ^= kmer >> 29;
  kmer *= 0xBF58476D1CE4E5B9ull;
  return kmer ^ kmer >> 32;
}

// ---------------------------------------------------------------------------------- counts

// An entry of a hashed table: the k-mer (48 bits) and four counts of 20 bits.
typedef struct {
  uint64_t low, high;
} Entry;

typedef struct {
  int k;
  uint32_t *dense;   // (4^k, 4), or null
  uint16_t *narrow;  // the same, of a base in a file
  Entry *entries;    // a hashed table of exact k-mers
  int64_t n_entries, n_used;
} Table;

static inline uint32_t most_count(int k) { return k <= 6 ? UINT32_MAX : MOST_COUNT; }

static inline void entry_counts(const Entry *e, uint32_t *n) {
  n[0] = (uint32_t)(e->low >> 48) | (uint32_t)(e->high & 15) << 16;
  n[1] = (uint32_t)(e->high >> 4) & MOST_COUNT;
  n[2] = (uint32_t)(e->high >> 24) & MOST_COUNT;
  n[3] = (uint32_t)(e->high >> 44);
}

static inline int entry_is_empty(const Entry *e) { return !e->high && !(e->low >> 48); }

static inline void entry_add(Entry *e, uint64_t kmer, int letter) {
  uint32_t n[4];
  entry_counts(e, n);
  n[letter] += n[letter] < MOST_COUNT;
  e->low = kmer | (uint64_t)n[0] << 48;
  e->high = (uint64_t)(n[0] >> 16) | (uint64_t)n[1] << 4 | (uint64_t)n[2] << 24 | (uint64_t)n[3] << 44;
}

static inline Entry *table_find(const Table *table, uint64_t kmer) {
  int64_t mask = table->n_entries - 1;
  for (int64_t i = (int64_t)hashed(kmer) & mask;; i = (i + 1) & mask) {
    Entry *e = table->entries + i;
    if (entry_is_empty(e) || (e->low & 0xffffffffffffull) == kmer) return e;
  }
}

static int table_grow(Table *table) {
  Table larger = *table;
  larger.n_entries *= 2;
  larger.entries = calloc((size_t)larger.n_entries, sizeof(Entry));
  if (!larger.entries) return 1;
  for (int64_t i = 0; i < table->n_entries; i++)
    if (!entry_is_empty(table->entries + i))
      *table_find(&larger, table->entries[i].low & 0xffffffffffffull) = table->entries[i];
  free(table->entries);
  *table = larger;
  return 0;
}

static inline int table_add(Table *table, uint64_t kmer, int letter) {
  if (table->dense) {
    uint32_t *n = table->dense + 4 * kmer + letter;
    *n += *n < most_count(table->k);
    return 0;
  }
  Entry *e = table_find(table, kmer);
  if (entry_is_empty(e)) {
    if (10 * table->n_used > 6 * table->n_entries) {
      if (table_grow(table)) return 1;
      e = table_find(table, kmer);
    }
    table->n_used++;
  }
  entry_add(e, kmer, letter);
  return 0;
}

static inline void table_counts(const Table *table, uint64_t kmer, uint32_t *n) {
  if (table->dense) {
    memcpy(n, table->dense + 4 * kmer, 16);
  } else if (table->narrow) {
    for (int b = 0; b < 4; b++) n[b] = table->narrow[4 * kmer + b];
  } else {
    Entry *e = table_find(table, kmer);
    if (entry_is_empty(e)) memset(n, 0, 16);
    else entry_counts(e, n);
  }
}

static inline void table_prefetch(const Table *table, uint64_t kmer) {
  if (table->dense) __builtin_prefetch(table->dense + 4 * kmer);
  else if (table->narrow) __builtin_prefetch(table->narrow + 4 * kmer);
  else __builtin_prefetch(table->entries + ((int64_t)hashed(kmer) & (table->n_entries - 1)));
}

// ---------------------------------------------------------------------------------- seeds

// The positions at which each seed (the last k letters) was read, chained from the most recent.
typedef struct {
  int k;
  int64_t n_heads;  // 4^k, or a smaller power of two: then different seeds may share a chain
  uint32_t *heads, *earlier;  // indices into the text, or NOWHERE
  int64_t room;
} Chains;

static inline int64_t chain_of(const Chains *chains, uint64_t kmer) {
  return chains->n_heads >> (2 * chains->k) ? (int64_t)kmer
                                            : (int64_t)hashed(kmer) & (chains->n_heads - 1);
}

// ---------------------------------------------------------------------------------- memory

typedef struct Memory {
  Settings set;
  Text text;
  Table tables[MOST_ORDERS];
  Chains chains[MOST_SEEDS];
  // what was read before
  const struct Memory *base;  // or null
  const Table *base_tables[MOST_ORDERS];
  const Chains *base_chains[MOST_SEEDS];
  int64_t offset, first;      // the position of the first letter; positions below `first` are the base's
  int64_t n_gaps, *gaps;      // (start, end) of parts of the base that count as unknown
  Table gap_tables[MOST_ORDERS];
  // the present
  uint64_t forward, backward;  // the last 32 letters, newest on top; their complement, newest below
  int64_t run;                 // known letters since the last unknown one
  // code lengths
  int32_t costs[MOST_ORDERS][LONG_WINDOW], cost_short[MOST_ORDERS], cost_long[MOST_ORDERS];
  float lp[MOST_ORDERS][4];
  int32_t set_costs[SET_WINDOW], set_cost;
  float set_lp[4];
  int is_warm;
  // pointers
  int32_t n_alive, serial;
  int64_t place[MOST_POINTERS], key[MOST_POINTERS], found[MOST_POINTERS];
  uint32_t hits[MOST_POINTERS];
  uint8_t inverted[MOST_POINTERS], predicted[MOST_POINTERS];
  int32_t exact[MOST_POINTERS];
  int32_t odds[N_ODDS];       // log-odds of a pointer's next prediction
  int64_t *outcomes;           // (33, 16, 2), or null: right and wrong predictions
} Memory;

static float logs[3][N_LOGS], log_totals[3][N_LOGS];
static const float PRIORS[3] = {1.0f, 0.25f, 0.0625f};

__attribute__((constructor)) static void fill_logs(void) {  // when the library is loaded
  for (int a = 0; a < 3; a++)
    for (int n = 0; n < N_LOGS; n++) {
      logs[a][n] = logf((float)n + PRIORS[a]);
      log_totals[a][n] = logf((float)n + 4 * PRIORS[a]) - logf(4.0f);
    }
}

static inline int prior_of(int k) { return k <= 11 ? 0 : k <= 13 ? 1 : 2; }

void memory_free(Memory *memory) {
  if (!memory) return;
  free(memory->text.letters);
  free(memory->text.packed);
  free(memory->text.known);
  for (int i = 0; i < MOST_ORDERS; i++) {
    free(memory->tables[i].dense);
    free(memory->tables[i].entries);
    free(memory->gap_tables[i].entries);
  }
  free(memory->gaps);
  for (int i = 0; i < MOST_SEEDS; i++) {
    free(memory->chains[i].heads);
    free(memory->chains[i].earlier);
  }
  free(memory->outcomes);
  free(memory);
}

static int64_t power_above(int64_t n) {
  int64_t power = 64;
  while (power < n) power *= 2;
  return power;
}

// A memory for about n letters; it grows if more come.
Memory *memory_new(const Settings *set, const int32_t *odds, int64_t n) {
  Memory *memory = calloc(1, sizeof(Memory));
  if (!memory) return 0;
  memory->set = *set;
  memcpy(memory->odds, odds, sizeof memory->odds);
  memory->first = -FRONT;
  int failed = text_grow(&memory->text, n > 64 ? n : 64);
  for (int i = 0; i < set->n_orders; i++) {
    Table *table = memory->tables + i;
    table->k = set->orders[i];
    if (table->k <= 12 && (1ll << (2 * table->k)) <= 5 * n + 4096) {
      table->dense = calloc((size_t)4 << (2 * table->k), sizeof(uint32_t));
      failed |= !table->dense;
    } else {
      table->n_entries = power_above(n < SHORT_TEXT ? 4 * n : 2 * n);  // 2 n contexts at most
      table->entries = calloc((size_t)table->n_entries, sizeof(Entry));
      failed |= !table->entries;
    }
  }
  for (int i = 0; i < set->n_seeds; i++) {
    Chains *chains = memory->chains + i;
    chains->k = set->seeds[i];
    chains->n_heads = power_above(n);
    if (chains->n_heads >> (2 * chains->k)) chains->n_heads = 1ll << (2 * chains->k);
    chains->heads = malloc((size_t)chains->n_heads * sizeof(uint32_t));
    if (chains->heads) memset(chains->heads, 255, (size_t)chains->n_heads * sizeof(uint32_t));
    failed |= !chains->heads;
  }
  if (failed) {
    memory_free(memory);
    return 0;
  }
  return memory;
}

int memory_count_outcomes(Memory *memory) {
  if (!memory->outcomes) memory->outcomes = calloc(N_ODDS * 2, sizeof(int64_t));
  return !memory->outcomes;
}

void memory_outcomes(const Memory *memory, int64_t *outcomes) {
  memcpy(outcomes, memory->outcomes, N_ODDS * 2 * sizeof(int64_t));
}

int64_t memory_length(const Memory *memory) { return memory->offset + memory->text.n; }

static inline uint64_t kmer_forward(uint64_t forward, int k) { return forward >> (64 - 2 * k); }
static inline uint64_t kmer_backward(uint64_t backward, int k) { return backward & ((1ull << (2 * k)) - 1); }

static inline int in_gap(const Memory *memory, int64_t start, int64_t end) {
  for (int64_t i = 0; i < memory->n_gaps; i++)
    if (start < memory->gaps[2 * i + 1] && end > memory->gaps[2 * i]) return 1;
  return 0;
}

static inline int letter_at(const Memory *memory, int64_t place) {
  if (place >= memory->first) return text_at(&memory->text, place - memory->offset);
  return in_gap(memory, place, place + 1) ? UNKNOWN : text_at(&memory->base->text, place);
}

// Which of the 32 letters that end at e, of the base, are known and not in a gap.
static inline uint32_t base_known(const Memory *memory, int64_t e) {
  uint32_t known = text_known(&memory->base->text, e);
  for (int64_t i = 0; i < memory->n_gaps; i++) {
    int64_t start = memory->gaps[2 * i] - (e - 31), end = memory->gaps[2 * i + 1] - (e - 31);
    if (start < 0) start = 0;
    if (end > 32) end = 32;
    if (start < end) known &= ~((uint32_t)(((1ull << (end - start)) - 1) << start));
  }
  return known;
}

// Note: a k-mer's number has its oldest letter in the lowest bits, on either strand.

static void forget_present(Memory *memory) {
  memory->n_alive = 0;
  memset(memory->costs, 0, sizeof memory->costs);
  memset(memory->cost_short, 0, sizeof memory->cost_short);
  memset(memory->cost_long, 0, sizeof memory->cost_long);
  memset(memory->lp, 0, sizeof memory->lp);
  memset(memory->set_costs, 0, sizeof memory->set_costs);
  memory->set_cost = 0;
  memset(memory->set_lp, 0, sizeof memory->set_lp);
}

static void note_costs(Memory *memory, int64_t t, int letter) {
  for (int i = 0; i < memory->set.n_orders; i++) {
    int32_t cost = (int32_t)lrintf(-memory->lp[i][letter] * COST_UNIT), *ring = memory->costs[i];
    memory->cost_short[i] += cost - ring[(t - SHORT_WINDOW) & (LONG_WINDOW - 1)];
    memory->cost_long[i] += cost - ring[t & (LONG_WINDOW - 1)];
    ring[t & (LONG_WINDOW - 1)] = cost;
  }
  int32_t cost = (int32_t)lrintf(-memory->set_lp[letter] * COST_UNIT);
  memory->set_cost += cost - memory->set_costs[t & (SET_WINDOW - 1)];
  memory->set_costs[t & (SET_WINDOW - 1)] = cost;
}

static inline void drop_pointer(Memory *memory, int j) {
  int last = --memory->n_alive;
  memory->place[j] = memory->place[last];
  memory->key[j] = memory->key[last];
  memory->found[j] = memory->found[last];
  memory->hits[j] = memory->hits[last];
  memory->inverted[j] = memory->inverted[last];
  memory->predicted[j] = memory->predicted[last];
  memory->exact[j] = memory->exact[last];
}

// Move all pointers over the letter at t; drop those that are wrong too often or found too long ago.
static void move_pointers(Memory *memory, int64_t t, int letter) {
  int64_t oldest = (t - memory->set.life) << 8;
  for (int j = 0; j < memory->n_alive;) {
    int is_hit = memory->predicted[j] == letter;
    if (memory->outcomes) {
      uint32_t h = memory->hits[j];
      memory->outcomes[(__builtin_popcount(h) * 16 + (h >> 28)) * 2 + !is_hit]++;
    }
    uint32_t hits = memory->hits[j] = memory->hits[j] >> 1 | (uint32_t)is_hit << 31;
    int exact = memory->exact[j] + 1;
    memory->exact[j] = is_hit ? (exact < LONGEST_RUN ? exact : LONGEST_RUN) : 0;
    int64_t place = memory->place[j] += memory->inverted[j] ? -1 : 1;
    int y = letter_at(memory, place);  // the letter before the first is unknown
    if (y == UNKNOWN || __builtin_popcount(hits >> 16) < memory->set.n_right || memory->found[j] < oldest) {
      drop_pointer(memory, j);
      continue;
    }
    memory->predicted[j] = (uint8_t)(memory->inverted[j] ? 3 - y : y);
    j++;
  }
}

static inline int leading_hits(uint32_t hits) { return ~hits ? __builtin_clz(~hits) : 32; }

static inline int is_found(const Settings *set, uint32_t hits) {
  return __builtin_popcount(hits) >= set->n_agreeing || leading_hits(hits) >= set->n_exact;
}

// Return how many letters up to t agree without a gap, for a new pointer; the last 32 do.
static int exact_before(const Memory *memory, int64_t t, int64_t place, int inverted) {
  int64_t n = 32, most = inverted ? (t - place) / 2 : LONGEST_RUN;
  if (most > memory->run) most = memory->run;
  if (most > LONGEST_RUN) most = LONGEST_RUN;
  for (; n < most; n++) {
    int64_t at = inverted ? place + 1 + n : place - 1 - n;
    int a = letter_at(memory, t - n), b = at < 0 ? UNKNOWN : letter_at(memory, at);
    if (b == UNKNOWN || (inverted ? 3 - b : b) != a) break;
  }
  return (int)n;
}

static void add_pointer(Memory *memory, int64_t t, int64_t place, int inverted, uint32_t hits, int64_t key) {
  int y = letter_at(memory, place), j = memory->n_alive;
  if (y == UNKNOWN) return;
  if (j == memory->set.n_pointers) {  // the one found longest ago makes place
    j = 0;
    for (int i = 1; i < memory->n_alive; i++)
      if (memory->found[i] < memory->found[j]) j = i;
  } else {
    memory->n_alive++;
  }
  memory->place[j] = place;
  memory->key[j] = key;
  memory->found[j] = t << 8 | memory->serial++;
  memory->hits[j] = hits;
  memory->inverted[j] = (uint8_t)inverted;
  memory->predicted[j] = (uint8_t)(inverted ? 3 - y : y);
  memory->exact[j] = ~hits ? leading_hits(hits) : exact_before(memory, t, place, inverted);
}

// Look at the most recent occurrences of the last k letters, on one strand, in the memory's own
// letters or those of its base, until `n_left` of them are seen. Return how many are left.
static int find_pointers(Memory *memory, int64_t t, const Chains *chains, int of_base, int inverted, int n_left) {
  const Text *text = of_base ? &memory->base->text : &memory->text;
  int64_t offset = of_base ? 0 : memory->offset;
  int k = chains->k;
  uint64_t kmer = inverted ? kmer_backward(memory->backward, k) : kmer_forward(memory->forward, k);
  int is_shared = !(chains->n_heads >> (2 * k));
  for (uint32_t e = chains->heads[chain_of(chains, kmer)]; e != NOWHERE && n_left; e = chains->earlier[e]) {
    if (is_shared && kmer_forward(text_word(text, e), k) != kmer) continue;
    if (of_base && in_gap(memory, (int64_t)e + 1 - k, (int64_t)e + 1)) continue;
    n_left--;
    int64_t at = inverted ? (int64_t)e - k : (int64_t)e + 1, place = at + offset;
    if (at < 0) continue;
    int64_t key = (inverted ? t + place : t - place) << 1 | inverted;
    int j = -1;
    for (int i = 0; i < memory->n_alive; i++)
      if (memory->key[i] == key) j = i;
    if (j >= 0) {
      if (is_found(&memory->set, memory->hits[j]))
        memory->found[j] = t << 8 | memory->serial++;
      continue;
    }
    // A pair of letters counts if the earlier place really is earlier: an inverted pointer meets
    // its own letters in the middle of a palindrome.
    int64_t n_valid = inverted ? (t - place) / 2 : 32;
    if (n_valid > memory->run) n_valid = memory->run;
    if (n_valid < memory->set.n_agreeing && n_valid < memory->set.n_exact) continue;
    int64_t end = inverted ? at + 32 : (int64_t)e;
    uint32_t hits = equal_letters(text_word(text, end), inverted ? memory->backward : memory->forward);
    hits &= of_base ? base_known(memory, end) : text_known(text, end);
    if (inverted) hits = reversed_bits(hits);
    if (n_valid < 32) hits &= ~0u << (32 - n_valid);
    if (!is_found(&memory->set, hits)) continue;
    add_pointer(memory, t, place, inverted, hits, key);
  }
  return n_left;
}

static void find_all_pointers(Memory *memory, int64_t t, int i) {
  for (int inverted = 0; inverted < 2; inverted++) {
    int n_left = find_pointers(memory, t, memory->chains + i, 0, inverted, memory->set.n_recent);
    if (memory->base) find_pointers(memory, t, memory->base_chains[i], 1, inverted, n_left);
  }
}

static int chain_letters(Memory *memory, Chains *chains) {
  int64_t t = memory->text.n - 1;
  if (t >= chains->room) {
    int64_t room = memory->text.room;
    uint32_t *earlier = realloc(chains->earlier, (size_t)room * sizeof(uint32_t));
    if (!earlier) return 1;
    chains->earlier = earlier;
    chains->room = room;
  }
  chains->earlier[t] = NOWHERE;
  if (memory->run >= chains->k) {
    uint32_t *head = chains->heads + chain_of(chains, kmer_forward(memory->forward, chains->k));
    chains->earlier[t] = *head;
    *head = (uint32_t)t;
  }
  return 0;
}

// Round to half precision; values are far below its largest.
static inline uint16_t half(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  uint32_t sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  if (size < 0x38800000) {  // below 2^-14: half precision counts in 2^-24, as float does above 1/2
    float shifted = fabsf(value) + 0.5f;
    memcpy(&bits, &shifted, 4);
    return (uint16_t)(sign | (bits - 0x3f000000));
  }
  size += 0xfff + (size >> 13 & 1);
  return (uint16_t)(sign | (size - 0x38000000) >> 13);
}

// How often each letter followed a context, in all that was read.
static inline void counts_of(const Memory *memory, int i, uint64_t kmer, uint32_t *n) {
  table_counts(memory->tables + i, kmer, n);
  if (!memory->base) return;
  uint32_t before[4], gone[4] = {0}, most = most_count(memory->tables[i].k);
  table_counts(memory->base_tables[i], kmer, before);
  if (memory->n_gaps) table_counts(memory->gap_tables + i, kmer, gone);
  for (int b = 0; b < 4; b++) {
    uint32_t rest = before[b] > gone[b] ? before[b] - gone[b] : 0;  // a saturated count may be less
    n[b] = n[b] < most - rest ? n[b] + rest : most;
  }
}

static void write_features(Memory *memory, uint16_t *out) {
  const Settings *set = &memory->set;
  for (int i = 0; i < set->n_orders; i++) {
    Table *table = memory->tables + i;
    int k = table->k, a = prior_of(k);
    uint32_t n[4] = {0};
    if (memory->run >= k) counts_of(memory, i, kmer_forward(memory->forward, k), n);
    uint32_t total = n[0] + n[1] + n[2] + n[3];
    float *lp = memory->lp[i];
    if (!total) {
      lp[0] = lp[1] = lp[2] = lp[3] = 0;
    } else if (total < N_LOGS) {
      for (int b = 0; b < 4; b++) lp[b] = logs[a][n[b]] - log_totals[a][total];
    } else {
      float whole = logf((float)total + 4 * PRIORS[a]) - logf(4.0f);
      for (int b = 0; b < 4; b++) lp[b] = logf((float)n[b] + PRIORS[a]) - whole;
    }
    if (out) {
      for (int b = 0; b < 4; b++) out[b] = half(lp[b]);
      out[4] = half(0.3f * (total + 1 < N_LOGS ? logs[0][total] : logf(1.0f + (float)total)));
      out[5] = half((float)memory->cost_short[i] / (COST_UNIT * SHORT_WINDOW));
      out[6] = half((float)memory->cost_long[i] / (COST_UNIT * LONG_WINDOW));
      out += PER_ORDER;
    }
  }
  if (!set->n_seeds) return;
  int32_t sums[4] = {0}, most[4] = {0}, number[4] = {0}, exact[4] = {0}, longest = 0;
  for (int j = 0; j < memory->n_alive; j++) {
    int y = memory->predicted[j];
    uint32_t h = memory->hits[j];
    int32_t odds = memory->odds[__builtin_popcount(h) * 16 + (h >> 28)];
    sums[y] += odds;
    if (odds > most[y]) most[y] = odds;
    number[y]++;
    if (memory->exact[j] > exact[y]) exact[y] = memory->exact[j];
  }
  float top = 0, sum = 0;
  for (int b = 0; b < 4; b++) {
    top = fmaxf(top, (float)most[b] / ODDS_UNIT);
    if (exact[b] > longest) longest = exact[b];
  }
  if (memory->n_alive) {
    for (int b = 0; b < 4; b++) sum += expf((float)most[b] / ODDS_UNIT - top);
    float whole = top + logf(sum) - logf(4.0f);
    for (int b = 0; b < 4; b++) memory->set_lp[b] = (float)most[b] / ODDS_UNIT - whole;
  } else {
    memset(memory->set_lp, 0, sizeof memory->set_lp);
  }
  if (!out) return;
  for (int b = 0; b < 4; b++) {
    out[b] = half(0.2f * (float)sums[b] / ODDS_UNIT);
    out[4 + b] = half((float)most[b] / ODDS_UNIT);
    out[8 + b] = half(logs[0][number[b]]);
    out[12 + b] = half(0.5f * logs[0][exact[b]]);
  }
  out[16] = half((float)memory->set_cost / (COST_UNIT * SET_WINDOW));
  out[17] = half(logs[0][memory->n_alive]);
  out[18] = half(logs[0][longest]);
}

int32_t memory_n_features(const Settings *set) {
  return PER_ORDER * set->n_orders + (set->n_seeds ? PER_POINTERS : 0);
}

static void prefetch(const Memory *memory, uint64_t forward, uint64_t backward) {
  for (int i = 0; i < memory->set.n_orders; i++) {
    const Table *table = memory->tables + i;
    if (table->k < 8) continue;
    table_prefetch(table, kmer_forward(forward, table->k));
    table_prefetch(table, kmer_backward(backward, table->k));
    if (memory->base) table_prefetch(memory->base_tables[i], kmer_forward(forward, table->k));
  }
  for (int i = 0; i < memory->set.n_seeds; i++)
    for (int of_base = 0; of_base <= (memory->base != 0); of_base++) {
      const Chains *chains = of_base ? memory->base_chains[i] : memory->chains + i;
      __builtin_prefetch(chains->heads + chain_of(chains, kmer_forward(forward, chains->k)));
      __builtin_prefetch(chains->heads + chain_of(chains, kmer_backward(backward, chains->k)));
    }
}

// Fetch the first occurrences of a seed; its head has been fetched.
static void prefetch_occurrences(const Memory *memory, uint64_t forward, uint64_t backward) {
  for (int i = 0; i < memory->set.n_seeds; i++)
    for (int of_base = 0; of_base <= (memory->base != 0); of_base++) {
      const Chains *chains = of_base ? memory->base_chains[i] : memory->chains + i;
      const Text *text = of_base ? &memory->base->text : &memory->text;
      for (int inverted = 0; inverted < 2; inverted++) {
        uint64_t kmer = inverted ? kmer_backward(backward, chains->k) : kmer_forward(forward, chains->k);
        uint32_t e = chains->heads[chain_of(chains, kmer)];
        if (e == NOWHERE) continue;
        __builtin_prefetch(chains->earlier + e);
        __builtin_prefetch(text->packed + (((int64_t)e + FRONT) >> 2));
        __builtin_prefetch(text->letters + (int64_t)e + FRONT + 1);
      }
    }
}

// Append a letter: count it, move the pointers over it and, if pointers are followed, find new ones.
static int read_letter(Memory *memory, int letter, int is_followed) {
  const Settings *set = &memory->set;
  int64_t t = memory->offset + memory->text.n, run = memory->run;
  text_push(&memory->text, letter);
  if (memory->is_warm) {
    if (letter == UNKNOWN || !is_followed) forget_present(memory);
    else note_costs(memory, t, letter);
  }
  memory->is_warm = is_followed;
  if (letter == UNKNOWN) {
    memory->run = 0;
    for (int i = 0; i < set->n_seeds; i++)
      if (chain_letters(memory, memory->chains + i)) return 1;
    return 0;
  }
  for (int i = 0; i < set->n_orders; i++)
    if (run >= set->orders[i] &&
        table_add(memory->tables + i, kmer_forward(memory->forward, set->orders[i]), letter))
      return 1;
  memory->forward = memory->forward >> 2 | (uint64_t)letter << 62;
  memory->backward = memory->backward << 2 | (uint64_t)(3 - letter);
  for (int i = 0; i < set->n_orders; i++)
    if (run >= set->orders[i] &&
        table_add(memory->tables + i, kmer_backward(memory->backward, set->orders[i]),
                  3 - letter_at(memory, t - set->orders[i])))
      return 1;
  memory->run++;
  move_pointers(memory, t, letter);
  memory->serial = 0;
  for (int i = 0; i < set->n_seeds; i++) {
    Chains *chains = memory->chains + i;
    if (is_followed && memory->run >= chains->k) find_all_pointers(memory, t, i);
    if (chain_letters(memory, chains)) return 1;
  }
  return 0;
}

// Let a new memory begin after a base, without some parts of it; `gaps` holds n_gaps starts and ends.
// The base must outlive the memory, have its orders and seeds, and end with FRONT unknown letters.
static int begin_after(Memory *memory, const Memory *base, const int64_t *gaps, int64_t n_gaps) {
  const Settings *set = &memory->set;
  const Text *text = &base->text;
  memory->base = base;
  memory->offset = memory->first = text->n;
  for (int i = 0; i < set->n_seeds; i++)
    for (int j = 0; j < base->set.n_seeds; j++)
      if (base->chains[j].k == set->seeds[i]) memory->base_chains[i] = base->chains + j;
  for (int i = 0; i < set->n_orders; i++)
    for (int j = 0; j < base->set.n_orders; j++)
      if (base->tables[j].k == set->orders[i]) memory->base_tables[i] = base->tables + j;
  if (!n_gaps) return 0;
  memory->n_gaps = n_gaps;
  memory->gaps = malloc((size_t)n_gaps * 2 * sizeof(int64_t));
  if (!memory->gaps) return 1;
  memcpy(memory->gaps, gaps, (size_t)n_gaps * 2 * sizeof(int64_t));
  int64_t n_letters = 0;
  for (int64_t g = 0; g < n_gaps; g++) n_letters += gaps[2 * g + 1] - gaps[2 * g];
  for (int i = 0; i < set->n_orders; i++) {
    int k = set->orders[i];
    Table *table = memory->gap_tables + i;
    table->k = k;
    table->n_entries = power_above(4 * (n_letters + k * n_gaps) < 4ll << (2 * k) ? 4 * (n_letters + k * n_gaps) : 4ll << (2 * k));
    table->entries = calloc((size_t)table->n_entries, sizeof(Entry));
    if (!table->entries) return 1;
    int64_t done = 0;  // gaps are sorted: a context with its letter is taken out once
    for (int64_t g = 0; g < n_gaps; g++) {
      int64_t last = gaps[2 * g + 1] + k < text->n ? gaps[2 * g + 1] + k : text->n;
      int64_t t = gaps[2 * g] > done ? gaps[2 * g] : done;
      for (; t < last; t++) {  // the context and its letter are at t - k to t
        if (t < k || text_run(text, t) <= k) continue;
        uint64_t forward = text_word(text, t - 1), backward = ~reversed_pairs(text_word(text, t));
        if (table_add(table, kmer_forward(forward, k), text_at(text, t))) return 1;
        if (table_add(table, kmer_backward(backward, k), 3 - text_at(text, t - k))) return 1;
      }
      done = last;
    }
  }
  return 0;
}

// Read n letters. Where `wanted` is not 0 (null: everywhere) write a row of features to `out`
// (null: nowhere). Pointers are followed only shortly before such a row, as far as it depends on them,
// and at the end, for the next call. Return 0, or 1 if there is not enough memory.
int memory_read(Memory *memory, const uint8_t *letters, int64_t n, const uint8_t *wanted, uint16_t *out) {
  const Settings *set = &memory->set;
  int n_features = memory_n_features(set);
  if (memory->text.n + n >= NOWHERE) return 1;
  if (text_grow(&memory->text, memory->text.n + n)) return 1;
  uint64_t forward = memory->forward, backward = memory->backward;
  uint64_t near_forward = forward, near_backward = backward;
  int64_t next_wanted = out ? -1 : n;
  for (int64_t j = -AHEAD; j < n; j++) {
    if (j + AHEAD < n) {
      int b = letters[j + AHEAD] & 3;
      forward = forward >> 2 | (uint64_t)b << 62;
      backward = backward << 2 | (uint64_t)(3 - b);
      prefetch(memory, forward, backward);
    }
    if (j + AHEAD / 2 >= 0 && j + AHEAD / 2 < n) {
      int b = letters[j + AHEAD / 2] & 3;
      near_forward = near_forward >> 2 | (uint64_t)b << 62;
      near_backward = near_backward << 2 | (uint64_t)(3 - b);
      if (memory->is_warm) prefetch_occurrences(memory, near_forward, near_backward);
    }
    if (j < 0) continue;
    if (next_wanted < j) {
      next_wanted = j;
      if (wanted) while (next_wanted < n && !wanted[next_wanted]) next_wanted++;
    }
    int64_t n_before = set->life + LONG_WINDOW;  // all that a row depends on, besides counts
    int is_followed = next_wanted - j <= n_before || n - j <= n_before;
    int letter = letters[j] < UNKNOWN ? letters[j] : UNKNOWN;
    if (read_letter(memory, letter, is_followed)) return 1;
    if (!is_followed) continue;
    int is_wanted = next_wanted == j;
    if (letter < UNKNOWN) write_features(memory, is_wanted ? out : 0);
    else if (is_wanted) memset(out, 0, (size_t)n_features * 2);
    if (is_wanted) out += n_features;
  }
  return 0;
}

static void *copied(const void *from, size_t n_bytes, int *failed) {
  if (!from) return 0;
  void *to = malloc(n_bytes);
  if (to) memcpy(to, from, n_bytes);
  else *failed = 1;
  return to;
}

// An independent copy, or null if there is not enough memory.
Memory *memory_copy(const Memory *from) {
  int failed = 0;
  Memory *memory = copied(from, sizeof(Memory), &failed);
  if (!memory) return 0;
  Text *text = &memory->text;
  text->letters = copied(text->letters, text->room + FRONT, &failed);
  text->packed = copied(text->packed, (text->room + FRONT) / 4 + SPARE, &failed);
  text->known = copied(text->known, (text->room + FRONT) / 8 + SPARE, &failed);
  for (int i = 0; i < memory->set.n_orders; i++) {
    Table *table = memory->tables + i;
    table->dense = copied(table->dense, (size_t)16 << (2 * table->k), &failed);
    table->entries = copied(table->entries, (size_t)table->n_entries * sizeof(Entry), &failed);
    Table *gap = memory->gap_tables + i;
    gap->entries = copied(gap->entries, (size_t)gap->n_entries * sizeof(Entry), &failed);
  }
  memory->gaps = copied(memory->gaps, (size_t)memory->n_gaps * 2 * sizeof(int64_t), &failed);
  for (int i = 0; i < memory->set.n_seeds; i++) {
    Chains *chains = memory->chains + i;
    chains->heads = copied(chains->heads, (size_t)chains->n_heads * sizeof(uint32_t), &failed);
    chains->earlier = copied(chains->earlier, (size_t)chains->room * sizeof(uint32_t), &failed);
  }
  memory->outcomes = copied(memory->outcomes, N_ODDS * 2 * sizeof(int64_t), &failed);
  if (failed) {
    memory_free(memory);
    return 0;
  }
  return memory;
}

// A memory for about n letters that begins after a base; null if there is not enough memory.
Memory *memory_after(const Memory *base, const Settings *set, const int32_t *odds, const int64_t *gaps,
                     int64_t n_gaps, int64_t n) {
  Memory *memory = memory_new(set, odds, n);
  if (memory && begin_after(memory, base, gaps, n_gaps)) {
    memory_free(memory);
    return 0;
  }
  return memory;
}

// Features of rows of letters, each read by a copy of a memory.
int memory_read_by_copies(const Memory *before, const uint8_t *letters, int64_t n_rows, int64_t length, uint16_t *out) {
  int failed = 0, n_features = memory_n_features(&before->set);
#pragma omp parallel for schedule(dynamic) reduction(| : failed) if (n_rows > 1)
  for (int64_t row = 0; row < n_rows; row++) {
    Memory *memory = memory_copy(before);
    failed |= !memory || memory_read(memory, letters + row * length, length, 0, out + row * length * n_features);
    memory_free(memory);
  }
  return failed;
}

// Features of rows of letters, each with a memory of its own. With a base, each begins after it; the
// gaps of row i are those from first_gap[i] to first_gap[i + 1] - 1.
int memory_read_rows(const Memory *base, const Settings *set, const int32_t *odds, const int64_t *gaps,
                     const int64_t *first_gap, const uint8_t *letters, int64_t n_rows, int64_t length, uint16_t *out) {
  int failed = 0, n_features = memory_n_features(set);
#pragma omp parallel for schedule(dynamic) reduction(| : failed) if (n_rows > 1)
  for (int64_t row = 0; row < n_rows; row++) {
    Memory *memory = base ? memory_after(base, set, odds, gaps + 2 * first_gap[row],
                                         first_gap[row + 1] - first_gap[row], length)
                          : memory_new(set, odds, length);
    failed |= !memory || memory_read(memory, letters + row * length, length, 0, out + row * length * n_features);
    memory_free(memory);
  }
  return failed;
}

// Read one row of letters into each memory, and write features after every letter.
int memory_read_each(Memory *const *memories, const uint8_t *letters, int64_t n_rows, int64_t length, uint16_t *out) {
  int failed = 0, n_features = memory_n_features(&memories[0]->set);
#pragma omp parallel for schedule(dynamic) reduction(| : failed) if (n_rows > 1 && length >= LONG_WINDOW)
  for (int64_t row = 0; row < n_rows; row++)
    failed |= memory_read(memories[row], letters + row * length, length, 0, out + row * length * n_features);
  return failed;
}

static int64_t table_bytes(const Table *table) {
  return table->dense ? 16ll << (2 * table->k) : table->n_entries * (int64_t)sizeof(Entry);
}

// Bytes held, without the structure itself and without a base.
int64_t memory_bytes(const Memory *memory) {
  int64_t n = memory->text.room + memory->text.room / 4 + memory->text.room / 8;
  for (int i = 0; i < memory->set.n_orders; i++)
    n += table_bytes(memory->tables + i) + memory->gap_tables[i].n_entries * (int64_t)sizeof(Entry);
  for (int i = 0; i < memory->set.n_seeds; i++)
    n += 4 * (memory->chains[i].n_heads + memory->chains[i].room);
  return n;
}

// ---------------------------------------------------------------------------------- bases in files

// The arrays of a memory: letters, packed letters and known letters, then for each order its table,
// and for each seed the heads and links of its chains. `bytes` gets their sizes, and `dense` whether
// the table of each order is.
void memory_arrays(const Memory *memory, const void **arrays, int64_t *bytes, int32_t *dense) {
  const Text *text = &memory->text;
  int64_t n = text->n + FRONT;
  int at = 0;
  arrays[at] = text->letters, bytes[at++] = n;
  arrays[at] = text->packed, bytes[at++] = (n + 3) / 4 + SPARE;
  arrays[at] = text->known, bytes[at++] = (n + 7) / 8 + SPARE;
  for (int i = 0; i < memory->set.n_orders; i++) {
    const Table *table = memory->tables + i;
    arrays[at] = table->dense ? (void *)table->dense : (void *)table->entries;
    bytes[at++] = table_bytes(table);
    dense[i] = table->dense != 0;
  }
  for (int i = 0; i < memory->set.n_seeds; i++) {
    const Chains *chains = memory->chains + i;
    arrays[at] = chains->heads, bytes[at++] = 4 * chains->n_heads;
    arrays[at] = chains->earlier, bytes[at++] = 4 * text->n;
  }
}

// A base of n letters from its arrays, which must outlive it; of its settings only orders and seeds
// are used. `dense` has the bytes of a count in the table of each order: 4 or 2, or 0 if it is hashed.
Memory *base_new(const Settings *set, int64_t n, void *const *arrays, const int64_t *bytes, const int32_t *dense) {
  Memory *base = calloc(1, sizeof(Memory));
  if (!base) return 0;
  base->set = *set;
  base->text = (Text){n, n, arrays[0], arrays[1], arrays[2]};
  int at = 3;
  for (int i = 0; i < set->n_orders; i++, at++) {
    Table *table = base->tables + i;
    table->k = set->orders[i];
    if (dense[i] == 2) table->narrow = arrays[at];
    else if (dense[i]) table->dense = arrays[at];
    else table->entries = arrays[at], table->n_entries = bytes[at] / (int64_t)sizeof(Entry);
  }
  for (int i = 0; i < set->n_seeds; i++, at += 2)
    base->chains[i] = (Chains){set->seeds[i], bytes[at] / 4, arrays[at], arrays[at + 1], n};
  return base;
}

void base_free(Memory *base) { free(base); }
