/*
** append.c: a file that only grows, by whole pieces, under one writer at a
** time. A piece that does not fit the disk is taken back, so that a reader
** never meets half of one that was reported as failed.
*/
#define _GNU_SOURCE /* OFD locks */

#include "lua/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "lua/failure.h"
#include "base/file.h"

#define APPEND_MT "taskclient.append"

typedef struct append {
  int fd;      /* -1: closed */
  int broken;  /* errno of a piece that could not be taken back */
  pid_t owner; /* after a fork two writers would share the lock */
  char path[1];
} append;

/* ---- faults ---- */

static append *check (lua_State *L) {
  return (append *)luaL_checkudata(L, 1, APPEND_MT);
}

static append *check_open (lua_State *L) {
  append *a = check(L);
  luaL_argcheck(L, a->fd >= 0, 1, "the file is closed");
  return a;
}

static int fail (lua_State *L, const append *a, int error) {
  return tc_fail(L, "io", "%s: %s", a->path, strerror(error));
}

static int fail_locked (lua_State *L, const append *a) {
  tc_fail(L, "io", "%s: locked, another process or client is using it",
          a->path);
  tc_set_flag(L, "locked", true);
  return 2;
}

/* 0, or the number of results that tell why nothing may be written */
static int refuse (lua_State *L, const append *a) {
  if (a->owner != getpid())
    return tc_fail(L, "closed", "%s: opened before a fork", a->path);
  return a->broken != 0 ? fail(L, a, a->broken) : 0;
}

static int done (lua_State *L, const append *a, int result) {
  if (result != 0)
    return fail(L, a, errno);
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- opening ---- */

/* 0, EAGAIN when somebody else holds it, or another errno */
static int lock (int fd) {
  int error = EINVAL;
#ifdef F_OFD_SETLK
  struct flock whole;
  memset(&whole, 0, sizeof whole);
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
    return 0;
  error = errno == EACCES ? EAGAIN : errno;
#endif
  if (error == EINVAL) /* a system without such locks */
    error = flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
  return error == EWOULDBLOCK ? EAGAIN : error;
}

/* Makes the file with its first piece in it, so that no crash leaves half of
   that piece. What fails here is left to the ordinary way of opening. */
static void create (const append *a, const char *first, size_t len) {
  tc_file whole;
  if (tc_file_open(&whole, a->path, false) != 0)
    return;
  whole.mode = 0600;
  tc_file_write(&whole, first, len);
  tc_file_commit(&whole); /* which takes it back where it fails */
}

/* 0, or an errno: EINVAL for what is no regular file */
static int check_regular (const append *a) {
  struct stat st;
  if (a->fd < 0 || fstat(a->fd, &st) != 0)
    return errno;
  return S_ISREG(st.st_mode) ? 0 : EINVAL;
}

/* not blocking, or a pipe would be waited for */
static int open_to_look (append *a) {
  a->fd = open(a->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  return check_regular(a);
}

static int open_file (append *a, const char *first, size_t len) {
  const int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY;
  struct stat st;
  char *target;
  int error = tc_file_target(a->path, true, &target, &st);
  free(target);
  if (error != 0)
    return error;
  a->fd = open(a->path, flags);
  if (a->fd < 0 && errno == ENOENT && len > 0)
    create(a, first, len);
  if (a->fd < 0)
    a->fd = open(a->path, flags | O_CREAT, 0600);
  error = check_regular(a);
  if (error == 0)
    error = lock(a->fd);
  if (error == 0 && fstat(a->fd, &st) == 0 && st.st_size == 0)
    tc_sync_folder(a->path); /* or a crash takes the name, and what is in it */
  return error;
}

static int release (lua_State *L) {
  append *a = check(L);
  int fd = a->fd;
  a->fd = -1;
  if (fd >= 0)
    close(fd);
  return 0;
}

/* core.append(path[, first[, look]]): the file, or nil, err (locked = true:
   in use). A file that does not exist yet appears with `first` in it. `look`:
   it is only read, whoever may be writing it. */
static int new (lua_State *L) {
  size_t len, first_len;
  const char *path = luaL_checklstring(L, 1, &len);
  const char *first = luaL_optlstring(L, 2, "", &first_len);
  bool look = lua_toboolean(L, 3);
  append *a;
  int error;
  luaL_argcheck(L, strlen(path) == len, 1, "a path holds no zero byte");
  a = (append *)lua_newuserdata(L, sizeof *a + len);
  a->fd = -1;
  a->broken = 0;
  a->owner = getpid();
  memcpy(a->path, path, len + 1);
  luaL_getmetatable(L, APPEND_MT);
  lua_setmetatable(L, -2);
  error = look ? open_to_look(a) : open_file(a, first, first_len);
  if (error == 0)
    return 1;
  if (a->fd >= 0) {
    close(a->fd);
    a->fd = -1;
  }
  if (error == EINVAL)
    return tc_fail(L, "io", "%s: not a regular file", path);
  return error == EAGAIN ? fail_locked(L, a) : fail(L, a, error);
}

/* ---- methods ---- */

/* file:write(text): true, or nil, err and nothing written */
static int append_write (lua_State *L) {
  append *a = check_open(L);
  size_t len;
  const char *text = luaL_checklstring(L, 2, &len);
  struct stat st;
  int error, refused = refuse(L, a);
  if (refused != 0)
    return refused;
  error = fstat(a->fd, &st) == 0 ? 0 : errno;
  if (error == 0 && st.st_nlink == 0) /* nobody would ever read it again */
    return tc_fail(L, "io", "%s: deleted while it was in use", a->path);
  if (error == 0) {
    error = tc_write_all(a->fd, text, len);
    if (error != 0 && ftruncate(a->fd, st.st_size) != 0)
      a->broken = error;
  }
  if (error != 0)
    return fail(L, a, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* file:sync(): what was written is on the disk */
static int append_sync (lua_State *L) {
  append *a = check_open(L);
#ifdef __APPLE__
  return done(L, a, fsync(a->fd));
#else
  return done(L, a, fdatasync(a->fd));
#endif
}

static ssize_t read_at (int fd, char *to, size_t len, off_t from) {
  ssize_t n;
  do
    n = pread(fd, to, len, from);
  while (n < 0 && errno == EINTR);
  return n;
}

/* file:read(): the whole content as text */
static int append_read (lua_State *L) {
  append *a = check_open(L);
  struct stat st;
  size_t len = 0, size;
  ssize_t n = 1;
  char *text;
  if (fstat(a->fd, &st) != 0)
    return fail(L, a, errno);
  size = (size_t)st.st_size;
  text = (char *)lua_newuserdata(L, size + 1);
  while (len < size &&
         (n = read_at(a->fd, text + len, size - len, (off_t)len)) > 0)
    len += (size_t)n;
  if (n < 0)
    return fail(L, a, errno);
  lua_pushlstring(L, text, len);
  return 1;
}

/* file:truncate(size): forgets what lies behind the first size bytes */
static int append_truncate (lua_State *L) {
  append *a = check_open(L);
  lua_Number size = luaL_checknumber(L, 2);
  int refused = refuse(L, a);
  luaL_argcheck(L, size >= 0 && size <= (lua_Number)TC_INT_EXACT, 2,
                "a size in bytes expected");
  return refused != 0 ? refused : done(L, a, ftruncate(a->fd, (off_t)size));
}

static int to_string (lua_State *L) {
  const append *a = check(L);
  lua_pushfstring(L, "taskclient append (%s)", a->fd >= 0 ? a->path : "closed");
  return 1;
}

/* ---- core.crc32, core.terminal ---- */

/* four bits at a time: a table of 16 needs no making */
static uint32_t crc32 (const unsigned char *p, size_t len) {
  static const uint32_t table[16] = {
    0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC,
    0x76DC4190, 0x6B6B51F4, 0x4DB26158, 0x5005713C,
    0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
    0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C
  };
  uint32_t crc = 0xFFFFFFFF;
  while (len-- > 0) {
    crc ^= *p++;
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

/* core.crc32(text): the IEEE checksum as 8 hex digits */
static int core_crc32 (lua_State *L) {
  static const char digits[] = "0123456789abcdef";
  size_t len;
  const char *text = luaL_checklstring(L, 1, &len);
  uint32_t crc = crc32((const unsigned char *)text, len);
  char hex[8];
  int i;
  for (i = 7; i >= 0; i--, crc >>= 4)
    hex[i] = digits[crc & 15];
  lua_pushlstring(L, hex, sizeof hex);
  return 1;
}

/* core.terminal(fd): columns, rows; nil when it is no terminal */
static int core_terminal (lua_State *L) {
  int fd = (int)luaL_checkinteger(L, 1);
  struct winsize size;
  if (!isatty(fd)) {
    lua_pushnil(L);
    return 1;
  }
  if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    size.ws_col = 80; /* a terminal that does not know, as over a serial line */
    size.ws_row = 24;
  }
  lua_pushinteger(L, size.ws_col);
  lua_pushinteger(L, size.ws_row);
  return 2;
}

/* ---- registration ---- */

static const luaL_Reg methods[] = {
  {"write", append_write},
  {"sync", append_sync},
  {"read", append_read},
  {"truncate", append_truncate},
  {"close", release},
  {"__gc", release},
  {"__close", release},
  {"__tostring", to_string},
  {NULL, NULL}
};

static const luaL_Reg functions[] = {
  {"append", new},
  {"crc32", core_crc32},
  {"terminal", core_terminal},
  {NULL, NULL}
};

void tc_append_open (lua_State *L, int module) {
  module = lua_absindex(L, module);
  if (luaL_newmetatable(L, APPEND_MT)) {
    luaL_setfuncs(L, methods, 0);
    lua_pushvalue(L, -1);
    lua_setfield(L, -2, "__index");
  }
  lua_pop(L, 1);
  lua_pushvalue(L, module);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
}
