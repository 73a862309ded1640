-- Runs the statements of one SQL job on a SQLite file, as a process of its own so that it can be
-- killed: `lua5.4 sql_runner.lua <database> <folder> <row limit, 0: none>`, the code on standard
-- input. Reports on standard output, one line each: total, result, done (engine/kinds.lua reads
-- them).

local here = arg[0]:match("^(.*/)") or "./"
local boot = dofile(here .. "boot.lua")
boot.paths(arg[0])
require("taskclient.sandbox.engine.sql").main(arg[1], arg[2], tonumber(arg[3]), io.read("a"))
