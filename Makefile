# taskclient: build, test, install. `make help` says what there is.

LUA      ?= lua5.4
PREFIX   ?= /usr/local
CC       ?= cc
BUILD    ?= build

# the Debian packages by purpose; .ci/deps.sh installs what is missing
DEV_lua5.4   := liblua5.4-dev
DEV_lua5.3   := liblua5.3-dev
DEV_lua5.2   := liblua5.2-dev
DEV_lua5.1   := liblua5.1-0-dev
DEV_luajit   := libluajit-5.1-dev
ALL_LUAS     := lua5.4 luajit lua5.1 lua5.2 lua5.3 lua5.5
lua_packages  = $(if $(DEV_$(1)),$(1) $(DEV_$(1)))
DEPS_BUILD   := gcc libc6-dev libcurl4-openssl-dev lua-cjson \
                $(foreach l,$(sort lua5.4 $(LUA)),$(call lua_packages,$(l)))
DEPS_SANDBOX := lua-luv lua-sql-sqlite3 ca-certificates openssl python3-minimal sqlite3
DEPS_TEST    := curl procps strace faketime lua-busted lua-cqueues lua-copas lua-system lua-luaossl \
                chromium chromium-driver \
                $(foreach l,$(filter-out lua5.4,$(ALL_LUAS)),$(call lua_packages,$(l)))
DEPS_BENCH   := curl procps valgrind lua5.1 liblua5.1-0-dev luajit libluajit-5.1-dev \
                lua-cqueues lua-copas lua-curl
DEPS_CHECK   := lua-check clang libclang-rt-dev valgrind

# ---- the C core ------------------------------------------------------------

WARN     := -std=c99 -D_POSIX_C_SOURCE=200809L -D_FILE_OFFSET_BITS=64 -Wall -Wextra -Wshadow \
            -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wundef
CFLAGS   ?= -O2 -g
CORE_CFLAGS  = $(WARN) -fPIC -fvisibility=hidden
SOURCES  := $(sort $(wildcard src/*/*.c))
HEADERS  := $(wildcard src/*/*.h)

ifeq ($(shell uname -s),Darwin)
SHARED   := -bundle -undefined dynamic_lookup
else
SHARED   := -shared -Wl,-z,relro,-z,now,-z,nodelete
endif

# the folder of each Lua's lua.h; LUA_INC overrides. Asked of the shell when a file is compiled:
# `make deps all` installs it first, and make's own wildcard remembers that it was not there
DIR_luajit := luajit-2.1
INC_ROOTS  := /usr/include /usr/local/include /opt/homebrew/include
inc = $(or $(LUA_INC),$(shell for d in $(INC_ROOTS:%=%/$(or $(DIR_$(1)),$(1))); do \
        if [ -f $$d/lua.h ]; then echo $$d; break; fi; done),/usr/include/$(1))

# those that are installed, for all-luas
LUAS     := $(strip $(foreach l,$(ALL_LUAS),\
              $(if $(wildcard $(call inc,$(l))/lua.h),$(l))))

core = $(BUILD)/$(1)/taskclient/core.so

.PHONY: all all-luas deps deps-test demo test check bench torture fuzz mutants coverage \
        doc install uninstall clean env help lint warnings sanitize memcheck \
        install-modules rock

all: $(call core,$(LUA))

all-luas: $(foreach l,$(LUAS),$(call core,$(l)))

define core_rules
$(BUILD)/$(1)/taskclient/core.so: $(SOURCES:src/%.c=$(BUILD)/$(1)/obj/%.o)
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS) $(SHARED) -o $$@ $$^ $(LDFLAGS) -lcurl

$(BUILD)/$(1)/obj/%.o: src/%.c $(HEADERS)
	@mkdir -p $$(@D)
	$(CC) $(CORE_CFLAGS) $(CFLAGS) $(CPPFLAGS) -Isrc -I$$(call inc,$(1)) -c -o $$@ $$<
endef
$(foreach l,$(sort $(LUA) $(LUAS)),$(eval $(call core_rules,$(l))))

# ---- what is needed --------------------------------------------------------

deps:
	@.ci/deps.sh $(DEPS_BUILD) $(DEPS_SANDBOX)

deps-test:
	@.ci/deps.sh $(DEPS_BUILD) $(DEPS_SANDBOX) $(DEPS_TEST)

# unpacked, not installed: no web server starts (lua/taskclient/sandbox/nginx.lua)
$(BUILD)/nginx:
	@.ci/nginx.sh $@

# ---- running from the built tree -------------------------------------------

lua_v = $(if $(filter luajit,$(1)),5.1,$(patsubst lua%,%,$(1)))
lua_env = LUA_PATH='$(CURDIR)/lua/?.lua;$(CURDIR)/lua/?/init.lua;;' \
          LUA_CPATH='$(CURDIR)/$(BUILD)/$(1)/?.so;;'

env:
	@echo "export $(call lua_env,$(LUA))"

demo:
	@$(MAKE) --no-print-directory deps
	+@$(MAKE) --no-print-directory -s -j2 LUA=lua5.4 all $(BUILD)/nginx
	@env $(call lua_env,lua5.4) lua5.4 examples/demo.lua

test:
	@$(MAKE) --no-print-directory deps-test
	+@$(MAKE) --no-print-directory -s -j2 all-luas $(BUILD)/nginx $(BUILD)/oom
	@lua5.4 spec/run.lua

# ---- checks ----------------------------------------------------------------

check:
	@.ci/deps.sh $(DEPS_BUILD) $(DEPS_SANDBOX) $(DEPS_TEST) $(DEPS_CHECK)
	@$(MAKE) --no-print-directory lint warnings sanitize memcheck

lint:
	luacheck -q lua spec examples .ci/style.lua
	lua5.4 .ci/style.lua
	lua5.4 .ci/layers.lua

# both compilers, warnings as errors, nothing kept
warnings:
	@for cc in gcc clang; do \
	  $(MAKE) --no-print-directory -s BUILD=$(BUILD)/warn-$$cc CC=$$cc \
	    CFLAGS="-O2 -Werror" all-luas && echo "$$cc: no warnings" || exit 1; \
	done

SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined
# not under strace, in a browser, nor where the allocator is another
SAN_SPECS = spec/unit spec/traps $(filter-out %/workflow_kill_spec.lua %/syscall_spec.lua \
              %/oom_spec.lua %/workflow_picture_spec.lua, \
              $(wildcard spec/fault/*_spec.lua spec/behaviour/*_spec.lua))
# the preloaded library is for what loads the core, not for the sandbox's servers
sanitize: $(BUILD)/nginx
	@$(MAKE) --no-print-directory -s BUILD=$(BUILD)/san \
	  CFLAGS="-O1 -g -fno-omit-frame-pointer $(SAN)" all
	@printf '#!/bin/sh\nexec env -u LD_PRELOAD lua5.4 "$$@"\n' >$(BUILD)/san/lua
	@chmod +x $(BUILD)/san/lua
	@TASKCLIENT_BUILD=$(BUILD)/san TASKCLIENT_SANDBOX_LUA=$(CURDIR)/$(BUILD)/san/lua \
	  LD_PRELOAD="$$($(CC) -print-file-name=libasan.so)" \
	  ASAN_OPTIONS=detect_leaks=1 LSAN_OPTIONS=suppressions=spec/support/lsan.supp \
	  lua5.4 spec/run.lua --only lua5.4 $(SAN_SPECS)

memcheck: all $(BUILD)/nginx
	@env $(call lua_env,lua5.4) valgrind -q --error-exitcode=9 \
	  --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
	  lua5.4 spec/support/sample.lua

# with COUNT=1 counts of instructions, which no load disturbs, in place of times
bench: all
	@.ci/deps.sh $(DEPS_BUILD) $(DEPS_SANDBOX) $(DEPS_BENCH)
	@$(MAKE) --no-print-directory -s all-luas $(BUILD)/nginx
	@env $(call lua_env,$(LUA)) $(LUA) spec/bench/run.lua $(if $(COUNT),count,$(BENCH))

# the reference, from the annotations in the source
doc: all
	@env $(call lua_env,lua5.4) lua5.4 .ci/api.lua >$(BUILD)/api.md && mv $(BUILD)/api.md doc/api.md

# every cut, every system call, every allocation of which `make test` takes some
torture: all-luas $(BUILD)/nginx $(BUILD)/oom
	@TASKCLIENT_TORTURE=1 lua5.4 spec/run.lua --only lua5.4 spec/fault spec/unit

# which lines and branches the specs run, by file; V=-v: the places that none reached
COVER = $(BUILD)/cov
coverage: $(BUILD)/nginx $(BUILD)/oom
	@rm -rf $(COVER) && mkdir -p $(COVER)/lines
	@$(MAKE) --no-print-directory -s BUILD=$(COVER) CFLAGS="-O0 -g --coverage" all
	-@COVER_DIR=$(CURDIR)/$(COVER)/lines LUA_INIT=@$(CURDIR)/.ci/cover_lua.lua \
	  TASKCLIENT_BUILD=$(COVER) lua5.4 spec/run.lua --only lua5.4 $(SPECS) >$(COVER)/log
	@lua5.4 .ci/coverage.lua $(COVER) $(COVER)/lines $(V)

# N slips in FILES (default: all), each of which some spec of SPECS should notice; by SEED
mutants: all $(BUILD)/nginx $(BUILD)/oom
	@lua5.4 .ci/mutants.lua $(FILES)

$(BUILD)/oom: spec/support/oom.c
	@mkdir -p $(@D)
	$(CC) -O1 -g -Wall -Wextra -rdynamic -o $@ $< -I$(call inc,lua5.4) -llua5.4

# each target for FUZZ seconds; what it finds stays in $(BUILD)/fuzz
FUZZ ?= 20
FUZZERS = $(patsubst spec/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard spec/fuzz/*.c))
fuzz: $(FUZZERS)
	@for f in $(FUZZERS); do mkdir -p $$f.corpus && \
	  $$f -max_total_time=$(FUZZ) -max_len=2000 -timeout=10 -verbosity=0 -print_final_stats=1 \
	    -artifact_prefix=$$f.crash- $$f.corpus >$$f.log 2>&1 || { tail -n 40 $$f.log; exit 1; }; \
	  echo "$$f: $$(sed -n 's/^stat::number_of_executed_units: *//p' $$f.log) runs, nothing found"; \
	done

$(BUILD)/fuzz/%: spec/fuzz/%.c $(SOURCES) $(HEADERS)
	@mkdir -p $(@D)
	clang -std=gnu99 -O1 -g -fsanitize=fuzzer,address,undefined \
	  -fno-sanitize-recover=undefined -Isrc -o $@ $< $(FUZZ_SOURCES) -lcurl -lm
# those that know no Lua
FUZZ_SOURCES = $(filter-out $(shell grep -l lua_State src/*/*.c),$(SOURCES))

# ---- install ---------------------------------------------------------------

# rockspec and packages set these two; V is the Lua version
V         = $(call lua_v,$(LUA))
INST_LUADIR ?= $(PREFIX)/share/lua/$(V)
INST_LIBDIR ?= $(PREFIX)/lib/lua/$(V)
SHARE     = $(PREFIX)/share/taskclient
MODULES   = $(shell cd lua && find taskclient -name '*.lua' -o -name '*.py' | sort)

install-modules:
	@install -d "$(DESTDIR)$(INST_LIBDIR)/taskclient"
	install -m 644 $(call core,$(LUA)) "$(DESTDIR)$(INST_LIBDIR)/taskclient/core.so"
	@for m in $(MODULES); do \
	  install -d "$(DESTDIR)$(INST_LUADIR)/$$(dirname $$m)" && \
	  install -m 644 lua/$$m "$(DESTDIR)$(INST_LUADIR)/$$m" || exit 1; done
	@echo "installed $(words $(MODULES)) Lua modules in $(DESTDIR)$(INST_LUADIR)"

install: all install-modules
	@if [ -d $(BUILD)/nginx ]; then \
	  install -d "$(DESTDIR)$(SHARE)" && rm -rf "$(DESTDIR)$(SHARE)/nginx" && \
	  cp -RP $(BUILD)/nginx "$(DESTDIR)$(SHARE)/nginx"; \
	else echo "the sandbox also needs nginx: make $(BUILD)/nginx, then install again"; fi

# what luarocks calls: it names the folders, and the headers by LUA_INC
rock:
	rm -rf $(BUILD)/rock
	@$(MAKE) --no-print-directory LUA=rock all

uninstall:
	rm -rf "$(DESTDIR)$(INST_LUADIR)/taskclient" "$(DESTDIR)$(INST_LIBDIR)/taskclient" \
	  "$(DESTDIR)$(SHARE)"

clean:
	rm -rf $(BUILD)

help:
	@echo "make            build for $(LUA) (LUA=lua5.1 … another, all-luas: $(LUAS))"
	@echo "make deps       install the missing Debian packages, with those of LUA"
	@echo "make demo       deps, build, run examples/demo.lua on the sandbox"
	@echo "make test       deps, build, every spec; ends with N passed, N failed"
	@echo "make check      luacheck, warnings as errors, sanitizers, valgrind"
	@echo "make doc        doc/api.md from the annotations in the source"
	@echo "make bench      ratios against peers (COUNT=1: by counts of instructions)"
	@echo "make fuzz       FUZZ=seconds each"
	@echo "make torture    the long runs            make mutants  N=20 SEED= FILES= SPECS="
	@echo "make coverage   lines and branches that the specs run (V=-v: and those they do not)"
	@echo "make install    PREFIX=$(PREFIX)    make uninstall, make clean"
	@echo 'eval "$$(make -s env)"   use the built tree from here'
