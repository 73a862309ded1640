/*
** utf8.h: how long a UTF-8 character is. In a header, for loops over text.
*/
#ifndef TC_UTF8_H
#define TC_UTF8_H

/* bytes of the UTF-8 character at p: 0 when it is none, -1 when the end cuts it */
static inline int tc_utf8_length (const char *at, const char *end) {
  const unsigned char *p = (const unsigned char *)at;
  unsigned char low = 0x80, high = 0xBF;
  int len = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4, i;
  if (p[0] < 0x80)
    return 1;
  if (p[0] < 0xC2 || p[0] > 0xF4)
    return 0;
  switch (p[0]) { /* overlong, surrogates, beyond U+10FFFF */
    case 0xE0: low = 0xA0; break;
    case 0xED: high = 0x9F; break;
    case 0xF0: low = 0x90; break;
    case 0xF4: high = 0x8F; break;
    default: break;
  }
  for (i = 1; i < len; i++) {
    if (at + i >= end)
      return -1;
    if (p[i] < low || p[i] > high)
      return 0;
    low = 0x80;
    high = 0xBF;
  }
  return len;
}

#endif
