-- The engine process: `lua5.4 engine.lua <folder>`. Does the work of the sandbox's jobs and
-- loads. Its standard input is the supervisor's hand: when that closes, the engine ends all work
-- and leaves.

local here = arg[0]:match("^(.*/)") or "./"
local boot = dofile(here .. "boot.lua")

boot.run(function()
  boot.paths(arg[0])
  require("taskclient.sandbox.engine.main").run(arg[1], arg[0]:match("^(.*/)") or "./")
end)
