-- The process between the user's script and the sandbox: it starts nginx and the engine, answers
-- when both do, and ends everything when the script is gone, however that happened. It watches
-- the pipe the script reads from: when that breaks, or on SIGTERM, the end begins.

local here = arg[0]:match("^(.*/)") or "./"
local boot = dofile(here .. "boot.lua")

boot.run(function()
  local root = boot.paths(arg[0])
  boot.need("luasql.sqlite3", "lua-sql-sqlite3")
  boot.need("cjson", "lua-cjson")
  require("taskclient.sandbox.supervise").start(boot.input(), root)
end)
