/*
** pick.c: walks an object with all paths at once. A set of paths is a bit mask;
** names that no path goes on with are passed over without being compared.
*/
#include "json/pick.h"

#include <string.h>

bool tc_path_split (tc_path *path, const char *text, size_t len) {
  const char *end = text + len;
  path->names = 0;
  for (;;) {
    const char *dot = memchr(text, '.', (size_t)(end - text));
    tc_slice *name = &path->name[path->names];
    if (path->names++ == TC_PATH_NAMES)
      return false;
    name->ptr = text;
    name->len = (size_t)((dot != NULL ? dot : end) - text);
    if (name->len == 0)
      return false;
    if (dot == NULL)
      return true;
    text = dot + 1;
  }
}

static bool same_name (const tc_json *j, tc_slice name) {
  char word[64];
  if (!j->escaped)
    return j->text.len == name.len &&
           memcmp(j->text.ptr, name.ptr, name.len) == 0;
  if (name.len >= sizeof word)
    return false;
  memcpy(word, name.ptr, name.len);
  word[name.len] = '\0';
  return tc_json_is(j, word);
}

/* which of the paths in the set go on with the name just read */
static uint32_t matching (const tc_picker *p, const tc_json *j, int level,
                          uint32_t set) {
  uint32_t hits = 0;
  for (int i = 0; i < p->count; i++)
    if ((set >> i & 1) != 0 && p->paths[i].names > level &&
        same_name(j, p->paths[i].name[level]))
      hits |= (uint32_t)1 << i;
  return hits;
}

/* the marks of the names the set goes on with */
static uint64_t wanted_marks (const tc_picker *p, int level, uint32_t set) {
  uint64_t marks = 0;
  for (int i = 0; i < p->count; i++)
    if ((set >> i & 1) != 0)
      marks |= tc_json_mark(p->paths[i].name[level].ptr,
                            p->paths[i].name[level].len);
  return marks;
}

/* of the hits, those whose path ends at this level */
static uint32_t ending (const tc_picker *p, int level, uint32_t hits) {
  uint32_t ends = 0;
  for (int i = 0; i < p->count; i++)
    if ((hits >> i & 1) != 0 && p->paths[i].names == level + 1)
      ends |= (uint32_t)1 << i;
  return ends;
}

static void keep (tc_pick *f, int count, uint32_t ends, tc_slice value) {
  for (int i = 0; i < count; i++)
    if ((ends >> i & 1) != 0)
      f->value[i] = value;
}

static void pick (const tc_picker *p, tc_json *j, int level, uint32_t set,
                  tc_pick *f);

/* the value of a name that some paths hit: kept by those that end here,
   searched by those that go on; passed over in any case */
static bool pick_value (const tc_picker *p, tc_json *j, int level,
                        uint32_t hits, tc_pick *f) {
  uint32_t ends = ending(p, level, hits);
  const char *start = j->at;
  tc_slice value;
  if (hits != ends && tc_json_peek(j) == '{') {
    tc_json_next(j);
    pick(p, j, level + 1, hits & ~ends, f);
    value.ptr = start;
    value.len = (size_t)(j->at - start);
  }
  else if (!tc_json_skip(j, &value))
    return false;
  keep(f, p->count, ends, value);
  return true;
}

/* walks the object just begun; the recursion ends with the longest path */
static void pick (const tc_picker *p, tc_json *j, int level, uint32_t set,
                  tc_pick *f) {
  uint64_t marks = wanted_marks(p, level, set);
  uint32_t seen = 0;
  while (tc_json_hurry(j, marks), tc_json_next(j) == TC_JSON_NAME) {
    uint32_t hits = matching(p, j, level, set);
    tc_slice other;
    f->twice |= hits & seen;
    seen |= hits;
    if (hits != 0 ? !pick_value(p, j, level, hits, f)
                  : !tc_json_skip(j, &other))
      return;
  }
}

static void walk (tc_tap *tap, tc_json *j) {
  tc_pick *f = (tc_pick *)(void *)tap; /* its first member */
  pick(f->picker, j, 0, ((uint32_t)1 << f->picker->count) - 1, f);
}

void tc_pick_begin (tc_pick *f, const tc_picker *p) {
  f->tap.walk = walk;
  f->picker = p;
  f->twice = 0;
  for (int i = 0; i < p->count; i++) f->value[i].len = 0;
}

void tc_pick_data (tc_pick *f, tc_slice data) {
  tc_json j;
  tc_json_trust(&j, data);
  if (tc_json_next(&j) == TC_JSON_OBJECT) walk(&f->tap, &j);
}
