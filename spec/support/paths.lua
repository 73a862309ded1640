-- The busted helper, run before any spec: module paths of the built tree, and
-- the modules that must live as long as the whole run, not one file.
-- TASKCLIENT_BUILD names another build folder (sanitizers).

local name = rawget(_G, "jit") and "luajit" or "lua" .. _VERSION:match("%d.%d")
local build = os.getenv "TASKCLIENT_BUILD" or "build"

package.path = "./lua/?.lua;./lua/?/init.lua;./?.lua;" .. package.path
package.cpath = "./" .. build .. "/" .. name .. "/?.so;" .. package.cpath

-- busted unloads what a spec file has loaded; servers are shared between files,
-- and luv's loop, once collected, is missed by the handles that it left
require "spec.support.server"
pcall(require, "luv")

return { lua = name, build = build }
