-- One order of init.lua to a running sandbox, as a process of its own: writes settings and commands
-- into the state database, pokes the engine, waits where the order must have happened. Lua 5.4.

local here = arg[0]:match("^(.*/)") or "./"
local boot = dofile(here .. "boot.lua")

boot.run(function()
  boot.paths(arg[0])
  boot.answer { value = require("taskclient.sandbox.orders").run(boot.input()) or false }
end)
