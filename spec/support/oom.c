/*
** oom.c: runs a Lua script again and again, and lets another allocation fail
** each time: in Lua ("lua") or in C, libcurl and all other libraries ("c"),
** once or from there on ("sticky"). Each run is a child of a process in which
** the script has run before, so that what libraries keep is kept already.
**   oom lua|c once|sticky FIRST STRIDE LAST SCRIPT [argument …]
** The script's functions: arm() and disarm() bound what may fail. A run must
** end by itself, without a signal, with no block left that was made while
** armed. Prints "allocations N" of a run in which none fails and "runs N,
** failed M"; with OOM_TRACE set, where lost blocks came from. With OOM_KEPT set
** lost blocks are no failure: OpenSSL keeps some.
*/
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <pthread.h>

#include <lauxlib.h>
#include <lualib.h>

#define LIMIT 30 /* seconds for one run */
#define BLOCKS 65536
#define FRAMES 12

extern void *__libc_malloc (size_t n);
extern void *__libc_calloc (size_t n, size_t m);
extern void *__libc_realloc (void *p, size_t n);
extern void *__libc_memalign (size_t align, size_t n);
extern void __libc_free (void *p);

/* ---- which allocation fails ---- */

enum domain { IN_LUA, IN_C };

static struct {
  enum domain domain;
  bool sticky, armed;
  long n, failing; /* count while armed; the one that fails, 0: none */
  bool failed;
} plan;

static bool fails (enum domain domain) {
  long n;
  if (!plan.armed || domain != plan.domain) return false;
  n = __atomic_add_fetch(&plan.n, 1, __ATOMIC_RELAXED);
  if (plan.failing == 0 || n < plan.failing) return false;
  /* Lua collects its garbage and tries again */
  if (!plan.sticky && n > plan.failing + (domain == IN_LUA)) return false;
  plan.failed = true;
  return true;
}

/* ---- blocks made by C while armed ---- */

static struct block {
  void *p;
  void *frames[FRAMES];
} blocks[BLOCKS];
static bool tracing, inside;

static size_t slot (const void *p) {
  return ((size_t)p >> 4) * 2654435761u % BLOCKS;
}

static void *made (void *p) {
  size_t i = slot(p), tries = 0;
  if (p == NULL || !plan.armed) return p;
  while (blocks[i].p != NULL && tries++ < BLOCKS) i = (i + 1) % BLOCKS;
  if (tries >= BLOCKS) abort();
  blocks[i].p = p;
  if (tracing && !inside) {
    inside = true;
    memset(blocks[i].frames, 0, sizeof blocks[i].frames);
    backtrace(blocks[i].frames, FRAMES);
    inside = false;
  }
  return p;
}

static void gone (void *p) {
  size_t i = slot(p), tries = 0;
  if (p == NULL || plan.n == 0) return;
  while (blocks[i].p != p) { /* nothing is moved, so all slots may be in use */
    if (++tries > 512) return;
    i = (i + 1) % BLOCKS;
  }
  blocks[i].p = NULL;
}

void *malloc (size_t n) {
  if (fails(IN_C)) return errno = ENOMEM, NULL;
  return made(__libc_malloc(n));
}

void *calloc (size_t n, size_t m) {
  if (fails(IN_C)) return errno = ENOMEM, NULL;
  return made(__libc_calloc(n, m));
}

void *realloc (void *p, size_t n) {
  void *q;
  if (n > 0 && fails(IN_C)) return errno = ENOMEM, NULL;
  q = __libc_realloc(p, n);
  if (q == NULL && n > 0) return NULL;
  gone(p);
  return made(q);
}

void *memalign (size_t align, size_t n) {
  if (fails(IN_C)) return errno = ENOMEM, NULL;
  return made(__libc_memalign(align, n));
}

void *aligned_alloc (size_t align, size_t n) { return memalign(align, n); }

int posix_memalign (void **p, size_t align, size_t n) {
  *p = memalign(align, n);
  return *p != NULL ? 0 : ENOMEM;
}

void free (void *p) {
  gone(p);
  __libc_free(p);
}

static long report_lost (void) {
  long lost = 0;
  for (size_t i = 0; i < BLOCKS; i++) {
    if (blocks[i].p == NULL) continue;
    lost++;
    if (!tracing || lost > 5) continue;
    fprintf(stderr, "lost:\n");
    backtrace_symbols_fd(blocks[i].frames + 1, FRAMES - 1, 2);
  }
  return lost;
}

/* ---- Lua with an allocator of its own ---- */

static size_t lua_bytes;

static void *lua_allocate (void *unused, void *p, size_t old, size_t n) {
  void *q;
  (void)unused;
  if (p == NULL) old = 0;
  if (n == 0) {
    __libc_free(p);
    lua_bytes -= old;
    return NULL;
  }
  if (n > old && fails(IN_LUA)) return NULL;
  q = __libc_realloc(p, n);
  if (q != NULL) lua_bytes += n - old;
  return q;
}

static int arm (lua_State *L) {
  (void)L;
  plan.n = 0;
  plan.armed = true;
  return 0;
}

static int disarm (lua_State *L) {
  (void)L;
  plan.armed = false;
  return 0;
}

static int prepare (lua_State *L) {
  char **argv = lua_touserdata(L, 1);
  int i;
  luaL_openlibs(L);
  lua_register(L, "arm", arm);
  lua_register(L, "disarm", disarm);
  if (luaL_loadfile(L, argv[0]) != LUA_OK) return lua_error(L);
  for (i = 1; argv[i] != NULL; i++) lua_pushstring(L, argv[i]);
  lua_call(L, i - 1, 0);
  return 0;
}

/* what the script raised is its own business, unless nothing was to fail */
static bool session (char **argv, bool quiet) {
  lua_State *L = lua_newstate(lua_allocate, NULL);
  bool fine;
  if (L == NULL) return false;
  lua_pushcfunction(L, prepare);
  lua_pushlightuserdata(L, argv);
  fine = lua_pcall(L, 1, 0, 0) == LUA_OK;
  if (!fine && !quiet)
    fprintf(stderr, "%s\n", luaL_tolstring(L, -1, NULL));
  if (!plan.sticky) plan.armed = false;
  lua_close(L);
  plan.armed = false;
  return fine;
}

/* ---- the runs ---- */

enum { FINE, LOST, BYTES, BEYOND };

static int run_one (char **argv, long failing) {
  long lost;
  alarm(LIMIT);
  plan.failing = failing;
  plan.failed = false;
  session(argv, getenv("OOM_LOUD") == NULL);
  if (!plan.failed) return BEYOND;
  lost = report_lost();
  if (getenv("OOM_KEPT") != NULL) lost = 0;
  if (lost > 0) fprintf(stderr, "allocation %ld: %ld blocks lost\n", failing, lost);
  return lost > 0 ? LOST : lua_bytes > 0 ? BYTES : FINE;
}

static int in_child (char **argv, long failing) {
  int status;
  pid_t pid;
  fflush(NULL);
  if ((pid = fork()) == 0) _exit(run_one(argv, failing));
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) {
    fprintf(stderr, "allocation %ld: signal %d\n", failing, WTERMSIG(status));
    return LOST;
  }
  if (WEXITSTATUS(status) == BYTES)
    fprintf(stderr, "allocation %ld: Lua has not freed all\n", failing);
  else if (WEXITSTATUS(status) > BEYOND)
    fprintf(stderr, "allocation %ld: status %d\n", failing, WEXITSTATUS(status));
  return WEXITSTATUS(status);
}

static void *nothing (void *unused) { return unused; }

/* a thread's stack is kept for the next one */
static int warm_up (char **argv) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, nothing, NULL) == 0)
    pthread_join(thread, NULL);
  for (int i = 0; i < 2; i++) {
    if (!session(argv, false)) return 2;
    memset(blocks, 0, sizeof blocks);
    lua_bytes = 0;
  }
  return 0;
}

int main (int argc, char **argv) {
  long at, stride, last, runs = 0, failed = 0;
  int how;
  void *frame;
  if (argc < 7) return 2;
  plan.domain = strcmp(argv[1], "lua") == 0 ? IN_LUA : IN_C;
  plan.sticky = strcmp(argv[2], "sticky") == 0;
  at = strtol(argv[3], NULL, 10);
  stride = strtol(argv[4], NULL, 10);
  last = strtol(argv[5], NULL, 10);
  tracing = getenv("OOM_TRACE") != NULL;
  backtrace(&frame, 1); /* loads what it needs */
  if (warm_up(argv + 6) != 0) return 2;
  printf("allocations %ld\n", plan.n);
  for (; at <= last; at += stride) {
    if ((how = in_child(argv + 6, at)) == BEYOND) break;
    runs++;
    if (how != FINE && ++failed > 20) break;
  }
  printf("runs %ld, failed %ld\n", runs, failed);
  return failed == 0 ? 0 : 1;
}
