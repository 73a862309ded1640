-- First line of each of the sandbox's own scripts: finds the modules beside it and says what to
-- install when one is missing. Lua 5.4 only.

local M = {}

---Makes `require "taskclient.sandbox.…"` work from the script's own place.
---@param script string arg[0]
---@return string root folder that holds taskclient/, absolute, with a slash
function M.paths(script)
  local uv = M.need("luv", "lua-luv")
  local here = assert(uv.fs_realpath(script:match("^(.*)/[^/]*$") or "."))
  local root = here:match("^(.*/)taskclient/sandbox$")
  package.path = root .. "?.lua;" .. root .. "?/init.lua;" .. package.path
  return root
end

---@param name string module
---@param package_name string Debian's
function M.need(name, package_name)
  local ok, module = pcall(require, name)
  if ok then return module end
  local text = "Lua 5.4 has no module '%s'; install it (Debian: apt-get install %s)"
  error(text:format(name, package_name), 0)
end

---The table that init.lua put on standard input.
---@return table
function M.input()
  local text = io.read("a")
  return assert(load(text, "=input", "t", {}))()
end

---Answers init.lua with one line.
---@param answer table
function M.answer(answer)
  io.write(require("taskclient.sandbox.literal").encode(answer), "\n")
  io.flush()
end

---Runs `work`; whatever it raises becomes the answer.
function M.run(work)
  local ok, reason = xpcall(work, function(reason)
    local is_bug = type(reason) == "string" and reason:match "^[^\n]+:%d+:"
    return is_bug and debug.traceback(reason) or reason
  end)
  if ok then return end
  io.write("return {error=", string.format("%q", tostring(reason)):gsub("\\\n", "\\n"), "}\n")
  io.flush()
  os.exit(1)
end

return M
