-- Child processes for specs: output in files, bounded waits, nothing left over.
-- Needs only sh, so that it works under each Lua.

local wait = require "spec.support.wait"

local M = {}
local Process = {}
Process.__index = Process

function M.quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

local function slurp(path)
  local file = io.open(path, "rb")
  if not file then return nil end
  local text = file:read("*a")
  file:close()
  return text
end

local function environment(env)
  local unset, set = "", ""
  for name, value in pairs(env or {}) do
    if value == false then
      unset = unset .. " -u " .. name -- env takes options only in front
    else
      set = set .. " " .. M.quote(name .. "=" .. value)
    end
  end
  return env and "env" .. unset .. set .. " " or ""
end

local function words(argv)
  local quoted = {}
  for i, word in ipairs(argv) do quoted[i] = M.quote(word) end
  return table.concat(quoted, " ")
end

---A fresh folder under the system's temporary one.
function M.tempdir()
  local pipe = assert(io.popen("mktemp -d", "r"))
  local path = pipe:read "*l"
  pipe:close()
  return assert(path, "mktemp failed")
end

---Starts a program. opts: env (name = value, false unsets), dir, stdin (a path).
---@param argv string[]
function M.start(argv, opts)
  opts = opts or {}
  local base = M.tempdir()
  local command = ("%s(%ssh -c 'echo $$ >%s/pid.new; mv %s/pid.new %s/pid; exec \"$@\"' sh %s"
    .. " >%s/out 2>%s/err <%s; echo $? >%s/code) >/dev/null 2>&1 &"):format(
    opts.dir and "cd " .. M.quote(opts.dir) .. " && " or "", environment(opts.env),
    base, base, base, words(argv), base, base, M.quote(opts.stdin or "/dev/null"), base)
  os.execute(command)
  local self = setmetatable({ base = base, name = argv[1] }, Process)
  self.pid = wait.eventually(function()
    return tonumber(slurp(base .. "/pid") or "")
  end, 10, "the start of " .. argv[1])
  return self
end

---Runs a program to its end: exit code, stdout, stderr.
function M.run(argv, opts)
  local child = M.start(argv, opts)
  local code = child:wait(opts and opts.timeout or 60)
  local out, err = child:out(), child:err()
  child:stop()
  return code, out, err
end

function Process:out() return slurp(self.base .. "/out") or "" end
function Process:err() return slurp(self.base .. "/err") or "" end

---The exit code (128 + n after signal n), nil while it runs.
function Process:code()
  return tonumber(slurp(self.base .. "/code") or "")
end

function Process:running() return not self:code() end

function Process:signal(name)
  os.execute("kill -" .. name .. " " .. self.pid .. " 2>/dev/null")
end

function Process:wait(timeout)
  return wait.eventually(function() return self:code() end, timeout, "the end of " .. self.name)
end

---Ends it if it still runs, and removes its files. May be called twice.
function Process:stop()
  if self.gone then return end
  self.gone = true
  if self:running() then
    self:signal "TERM"
    if not pcall(self.wait, self, 5) then
      self:signal "KILL"
      pcall(self.wait, self, 5)
    end
  end
  os.execute("rm -rf " .. M.quote(self.base))
end

return M
