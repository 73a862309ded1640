rockspec_format = "3.0"
package = "taskclient"
version = "scm-1"
source = { url = "git+file://." }
description = {
  summary = "Submit, watch and stop jobs of Apache Linkis and Lindorm bulk load",
  detailed = [[
    A Lua module (C core on libcurl) that submits tasks to remote job servers,
    follows their logs and progress, reads and saves their results, and stops
    them, without ever submitting twice. For scripts, nginx, luv, cqueues, copas.
  ]],
  license = "Apache-2.0",
}
dependencies = { "lua >= 5.1, < 5.6", "lua-cjson >= 2.1" }
-- libcurl (7.87 or later) is left to the compiler to find: Debian keeps its headers
-- where luarocks does not look
-- the Makefile finds the modules itself, so that no list here can go stale
build = {
  type = "make",
  build_target = "rock",
  install_target = "install-modules",
  build_variables = { CFLAGS = "$(CFLAGS)", LUA_INC = "$(LUA_INCDIR)" },
  install_variables = { LUA = "rock", INST_LUADIR = "$(LUADIR)", INST_LIBDIR = "$(LIBDIR)" },
}
