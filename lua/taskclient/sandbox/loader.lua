-- Runs one bulk load as a process of its own: `lua5.4 loader.lua`, its order as a Lua table on
-- standard input. Reports on standard output, one line each (engine/loads.lua reads them).

local here = arg[0]:match("^(.*/)") or "./"
local boot = dofile(here .. "boot.lua")
boot.paths(arg[0])
require("taskclient.sandbox.engine.loader").main(boot.input())
