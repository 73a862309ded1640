/*
** file.h: an output file that is either whole under its name or not there.
** Written beside its destination under a temporary name (O_EXCL, O_NOFOLLOW,
** O_CLOEXEC), synced and renamed by commit, removed by discard (F46, F47).
*/
#ifndef TC_FILE_H
#define TC_FILE_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buffer.h"

typedef struct tc_file {
  int fd;         /* -1: not open */
  int error;      /* errno of the first failure, sticky */
  bool overwrite;
  bool durable;   /* synced by commit, with its folder; true unless changed */
  mode_t mode;    /* what the file gets in the end; 0600 while it is written */
  pid_t owner;    /* a forked child lets go, but does not remove the file */
  char *path;
  char *temp;
  tc_buffer pending;
  unsigned long long written;
} tc_file;

/* All give 0 or an errno. A failed open leaves nothing to discard; after any
   other failure the file can only be discarded. The destination may be a new
   name, or with overwrite a regular file, also one that a symbolic link leads
   to: the link stays. Anything else, as a pipe, a device or /dev/stdout, is
   EINVAL, and is never opened. */

void tc_file_init (tc_file *f); /* closed: discard may be called */
/* overwrite: false refuses an existing destination */
int tc_file_open (tc_file *f, const char *path, bool overwrite);
int tc_file_write (tc_file *f, const void *bytes, size_t len);
int tc_file_commit (tc_file *f);
void tc_file_discard (tc_file *f); /* idempotent, also after commit */
/* the path behind all symbolic links, to be freed by the caller; *st: what
   stands there, with mode 0 for nothing */
int tc_file_target (const char *path, bool overwrite, char **target,
                    struct stat *st);
/* Puts a whole file, which stands beside the path's target, in its place, with
   the mode and owner of an old one. It stays where it was when that fails. */
int tc_file_place (const char *temp, const char *path, bool overwrite,
                   bool durable);
const char *tc_file_why (int error); /* as strerror, in a file's words */

int tc_write_all (int fd, const char *p, size_t len);
int tc_sync_folder (const char *path); /* makes the name in it durable */

#endif
