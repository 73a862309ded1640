/*
** number.c: JSON numbers to C numbers and back: integers exact or not at all,
** doubles correctly rounded. Independent of the locale: strtod never sees a point
** but of its own.
*/
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"

/* more digits than these cannot matter, but for whether they are all zero */
#define DIGITS_KEPT 800
#define EXPONENT_MAX 100000

bool tc_json_int64 (tc_slice number, int64_t *out) {
  const char *p = number.ptr, *end = p + number.len;
  bool negative = p < end && *p == '-';
  uint64_t most = (uint64_t)INT64_MAX + negative, n = 0;
  p += negative;
  if (p == end)
    return false;
  for (; p < end; p++) {
    unsigned digit = (unsigned)(*p - '0');
    if (digit > 9 || n > (most - digit) / 10)
      return false;
    n = n * 10 + digit;
  }
  *out = negative ? (int64_t)(0 - n) : (int64_t)n;
  return true;
}

typedef struct decimal {
  bool negative, sticky; /* sticky: a digit that was dropped is not zero */
  uint64_t small;        /* the digits as a number while they are 19 or fewer */
  int count;             /* digits kept */
  long exponent;         /* value = digits * 10^exponent */
  char digits[DIGITS_KEPT + 16];
} decimal;

static void put_digit (decimal *d, char c, bool behind_point) {
  if (d->count == 0 && c == '0') {
    d->exponent -= behind_point;
    return;
  }
  if (d->count >= DIGITS_KEPT) {
    d->sticky = d->sticky || c != '0';
    d->exponent += !behind_point;
    return;
  }
  if (d->count < 19)
    d->small = d->small * 10 + (uint64_t)(c - '0');
  d->digits[d->count++] = c;
  d->exponent -= behind_point;
}

static long read_exponent (const char *p, const char *end) {
  long n = 0;
  bool negative = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+'))
    p++;
  for (; p < end; p++)
    if (n < EXPONENT_MAX)
      n = n * 10 + (*p - '0');
  return negative ? -n : n;
}

static void read_decimal (decimal *d, tc_slice number) {
  const char *p = number.ptr, *end = p + number.len;
  bool behind_point = false;
  d->sticky = false;
  d->small = 0;
  d->count = 0;
  d->exponent = 0;
  d->negative = p < end && *p == '-';
  for (p += d->negative; p < end && *p != 'e' && *p != 'E'; p++) {
    if (*p == '.') behind_point = true;
    else put_digit(d, *p, behind_point);
  }
  if (p < end)
    d->exponent += read_exponent(p + 1, end);
}

/* both factors are exact in a double, so that one rounding is left */
static bool small_double (const decimal *d, double *out) {
  static const double powers[] = {
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
    1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
  };
  if (FLT_EVAL_METHOD != 0 || d->count > 19 || d->small >> 53 != 0 ||
      d->exponent < -22 || d->exponent > 22)
    return false;
  *out = d->exponent < 0 ? (double)d->small / powers[-d->exponent]
                         : (double)d->small * powers[d->exponent];
  return true;
}

static double large_double (decimal *d) {
  long exponent = d->exponent;
  if (d->sticky) {
    d->digits[d->count++] = '1';
    exponent--;
  }
  snprintf(d->digits + d->count, 15, "e%ld", exponent);
  return strtod(d->digits, NULL);
}

double tc_json_double (tc_slice number) {
  decimal d;
  double n;
  read_decimal(&d, number);
  if (d.count == 0)
    n = 0;
  else if (!small_double(&d, &n))
    n = large_double(&d);
  return d.negative ? -n : n;
}

/* the locale's point, of one byte or more, becomes a dot; gives the length */
static size_t point (char *text) {
  char *to = text;
  for (const char *p = text; *p != '\0'; p++)
    if (strchr("0123456789-+e", *p) != NULL) *to++ = *p;
    else if (to == text || to[-1] != '.') *to++ = '.';
  *to = '\0';
  return (size_t)(to - text);
}

size_t tc_json_print (double n, char *to) {
  int digits = 14;
  do
    snprintf(to, TC_JSON_DIGITS, "%.*g", ++digits, n);
  while (digits < 17 && strtod(to, NULL) != n);
  return point(to);
}
