/*
** date.c: the time that a server says it is, from its Date header. A Linkis
** gateway writes that in words ("Sunday, November 22, 2026 1:48:25 AM UTC"),
** others as RFC 1123 or RFC 850 have it. A name of a zone can mean several
** zones (CST is China's and Chicago's), so the answer is the earliest moment
** that a text can mean: who compares two of them, or asks what is older, errs
** to one side.
*/
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/net.h"

#define EASTMOST (14 * 3600) /* no zone is more ahead of UTC */
#define LONGEST 100          /* bytes; a longer text is no date */

typedef struct parts {
  long year, month, day, hour, minute, second;
  long ahead; /* seconds the zone is ahead of UTC */
  bool timed, zoned, pm, am;
} parts;

/* 1 to 12 by the name or what it begins with, or 0: "Mardi" is no March */
static long month_of (const char *s, size_t len) {
  static const char *const names[] = {
    "january", "february", "march", "april", "may", "june", "july", "august",
    "september", "october", "november", "december"
  };
  if (len < 3) return 0;
  for (long i = 0; i < 12; i++)
    if (len <= strlen(names[i]) && strncasecmp(s, names[i], len) == 0)
      return i + 1;
  return 0;
}

static bool is_word (const char *s, size_t len, const char *word) {
  return strlen(word) == len && strncasecmp(s, word, len) == 0;
}

static void take_word (parts *p, const char *s, size_t len) {
  if (is_word(s, len, "AM")) p->am = true;
  else if (is_word(s, len, "PM")) p->pm = true;
  else if (p->timed && (is_word(s, len, "UTC") || is_word(s, len, "GMT") ||
                        is_word(s, len, "Z") ||
                        is_word(s, len, "Coordinated") ||
                        is_word(s, len, "Greenwich"))) {
    p->zoned = true;
    p->ahead = 0;
  }
  else if (!p->timed && p->month == 0) p->month = month_of(s, len);
}

/* "+08:00", "-0330" or "+8" after the time of day; NULL: none */
static const char *take_offset (parts *p, const char *s) {
  char *end;
  long sign = *s == '-' ? -1 : 1, hours, minutes = 0;
  size_t digits = strspn(s + 1, "0123456789");
  if (digits == 0 || digits > 4) return NULL;
  hours = strtol(s + 1, &end, 10);
  if (digits > 2) {
    minutes = hours % 100;
    hours /= 100;
  }
  else if (*end == ':' && isdigit((unsigned char)end[1]))
    minutes = strtol(end + 1, &end, 10);
  if (hours > 14 || minutes > 59) return NULL;
  p->zoned = true;
  p->ahead = sign * (hours * 3600 + minutes * 60);
  return end;
}

/* a year, a day of the month, or the time of day */
static const char *take_number (parts *p, const char *s) {
  char *end;
  size_t digits = strspn(s, "0123456789");
  long n;
  if (digits > 4) return NULL;
  n = strtol(s, &end, 10);
  if (*end == ':' && !p->timed) {
    p->hour = n;
    p->minute = strtol(end + 1, &end, 10);
    if (*end == ':') p->second = strtol(end + 1, &end, 10);
    p->timed = true;
  }
  else if (digits == 4) p->year = n;
  else if (p->day == 0) p->day = n;
  else if (digits == 2 && p->month > 0 && p->year == 0 && !p->timed)
    p->year = n < 70 ? 2000 + n : 1900 + n; /* RFC 850: 22-Nov-26 */
  else return NULL;
  return end;
}

static const char *take (parts *p, const char *s) {
  if (isdigit((unsigned char)*s)) return take_number(p, s);
  if (isalpha((unsigned char)*s)) {
    size_t len = 1;
    while (isalpha((unsigned char)s[len])) len++;
    take_word(p, s, len);
    return s + len;
  }
  if ((*s == '+' || *s == '-') && p->timed) return take_offset(p, s);
  return s + 1;
}

static bool is_sound (const parts *p) {
  return p->timed && p->year >= 1970 && p->month > 0 && p->day >= 1 &&
         p->day <= 31 && p->hour >= 0 && p->hour <= 23 && p->minute >= 0 &&
         p->minute <= 59 && p->second >= 0 && p->second <= 60;
}

/* days from 1970-01-01; years begin in March here, so that a leap day is the
   last of its year */
static long days_of (long year, long month, long day) {
  long y = month <= 2 ? year - 1 : year, m = (month + 9) % 12;
  return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 -
         719468;
}

double tc_date (const char *text) {
  parts p = { 0 };
  const char *s = text;
  if (strlen(text) > LONGEST) return -1;
  while (s != NULL && *s != '\0') s = take(&p, s);
  if (s == NULL || !is_sound(&p)) return -1;
  if (p.pm && p.hour < 12) p.hour += 12;
  if (p.am && p.hour == 12) p.hour = 0;
  return (double)days_of(p.year, p.month, p.day) * 86400 +
         (double)(p.hour * 3600 + p.minute * 60 + p.second) -
         (double)(p.zoned ? p.ahead : EASTMOST);
}
