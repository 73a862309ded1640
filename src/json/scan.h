/*
** scan.h: the next byte of a JSON string that is not plain, found 16 or 8
** bytes at a time. Inline, because most strings are shorter than a call.
*/
#ifndef TC_SCAN_H
#define TC_SCAN_H

#include <stdint.h>
#include <string.h>

#include "base/buffer.h"

#if defined(__SSE2__) && defined(__GNUC__) && !defined(TC_NO_SIMD)
#include <emmintrin.h>
#define TC_SCAN_SSE2 1
#endif

#define TC_ONES UINT64_C(0x0101010101010101)
#define TC_HIGHS UINT64_C(0x8080808080808080)

static inline int tc_plain (unsigned char c) {
  return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* not zero when one of the eight bytes equals c */
static inline uint64_t tc_scan_has (uint64_t eight, unsigned char c) {
  uint64_t x = eight ^ (TC_ONES * c);
  return (x - TC_ONES) & ~x & TC_HIGHS;
}

static inline int tc_scan_all_plain (const char *p) {
  uint64_t x;
  memcpy(&x, p, 8);
  return (((x - TC_ONES * 0x20) | x) & TC_HIGHS) == 0 &&
         (tc_scan_has(x, '"') | tc_scan_has(x, '\\')) == 0;
}

#ifdef TC_SCAN_SSE2
/* bit i: byte i of the 16 at p is not plain */
static inline int tc_scan_mask (const char *p) {
  __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
  __m128i special = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
                                 _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
  /* signed: bytes from 0x80 on are below 0x20 too */
  __m128i odd = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
  return _mm_movemask_epi8(_mm_or_si128(odd, special));
}
#endif

/* to the first quote, backslash, control or non-ASCII byte, or the end */
static inline const char *tc_scan_plain (const char *p, const char *end) {
#ifdef TC_SCAN_SSE2
  int mask;
  for (; end - p >= 16; p += 16)
    if ((mask = tc_scan_mask(p)) != 0)
      return p + __builtin_ctz((unsigned)mask);
#endif
  while (end - p >= 8 && tc_scan_all_plain(p))
    p += 8;
  while (p < end && tc_plain((unsigned char)*p))
    p++;
  return p;
}

/* The length of a plain string that ends within 32 bytes, or -1; p is behind
   its opening quote. */
static inline int tc_scan_short (const char *p, const char *end) {
#ifdef TC_SCAN_SSE2
  int from, mask;
  for (from = 0; from < 32 && end - p >= from + 16; from += 16)
    if ((mask = tc_scan_mask(p + from)) != 0) {
      from += __builtin_ctz((unsigned)mask);
      return p[from] == '"' ? from : -1;
    }
#else
  (void)p;
  (void)end;
#endif
  return -1;
}

/* whether c is in a short text that lies before end */
static inline int tc_scan_holds (tc_slice text, const char *end, char c) {
#ifdef TC_SCAN_SSE2
  if (text.len <= 32 && end - text.ptr >= 32) {
    const __m128i *p = (const __m128i *)(const void *)text.ptr;
    const __m128i sought = _mm_set1_epi8(c);
    uint64_t low = (unsigned)_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_loadu_si128(p), sought));
    uint64_t high = (unsigned)_mm_movemask_epi8(
        _mm_cmpeq_epi8(_mm_loadu_si128(p + 1), sought));
    return ((low | high << 16) & ((UINT64_C(1) << text.len) - 1)) != 0;
  }
#endif
  (void)end;
  return memchr(text.ptr, c, text.len) != NULL;
}

/* the same for a string behind a comma, as it stands in an array */
static inline int tc_scan_element (const char *p, const char *end) {
  if (end - p < 2 || p[0] != ',' || p[1] != '"')
    return -1;
  return tc_scan_short(p + 2, end);
}

/* to the first quote or backslash: for text that has been checked */
static inline const char *tc_scan_quote (const char *p, const char *end) {
#ifdef TC_SCAN_SSE2
  const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
  for (; end - p >= 16; p += 16) {
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    int mask = _mm_movemask_epi8(
        _mm_or_si128(_mm_cmpeq_epi8(v, quote), _mm_cmpeq_epi8(v, slash)));
    if (mask != 0)
      return p + __builtin_ctz((unsigned)mask);
  }
#endif
  for (; end - p >= 8; p += 8) {
    uint64_t x;
    memcpy(&x, p, 8);
    if ((tc_scan_has(x, '"') | tc_scan_has(x, '\\')) != 0)
      break;
  }
  while (p < end && *p != '"' && *p != '\\')
    p++;
  return p;
}

#endif
