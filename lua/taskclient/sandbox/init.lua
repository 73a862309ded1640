-- The sandbox as its user sees it: start it, switch it, stop it, from any Lua 5.1 to 5.5 or LuaJIT.
-- Needs nothing but io.popen: everything real is done by supervisor.lua, a process of its own that
-- ends itself and all it started when the pipe to this process breaks.

local literal = require "taskclient.sandbox.literal"
local checks = require "taskclient.options"
local each = require "taskclient.compat".each

local M = {}

local here = debug.getinfo(1, "S").source:match("^@(.*)init%.lua$") or "./"

local error_mt = { __tostring = function(err) return "sandbox: " .. err.message end }

local function failure(message)
  return setmetatable({ kind = "io", message = message }, error_mt)
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The shell text that runs one of our scripts under Lua 5.4, with `data` on its standard input.
local function command(script, data)
  local missing = literal.encode {
    error = "no Lua 5.4 interpreter found; install it (Debian: apt-get install lua5.4 lua-luv "
      .. "lua-sql-sqlite3 lua-cjson) or name one in TASKCLIENT_SANDBOX_LUA",
  }
  return table.concat({
    'lua=$(command -v "${TASKCLIENT_SANDBOX_LUA:-lua5.4}") || {',
    "echo " .. quote(missing),
    "exit 1; }",
    _VERSION ~= "Lua 5.4" and "unset LUA_PATH LUA_CPATH LUA_INIT" or "", -- another Lua's modules
    -- luv itself complains on stderr when a watched pipe breaks; descriptor 4 is for what we say
    'exec "$lua" ' .. quote(here .. script) .. " 4>&2 2>/dev/null <<'END OF SANDBOX DATA'",
    literal.encode(data),
    "END OF SANDBOX DATA",
  }, "\n")
end

-- Runs a script and reads the one line it answers with.
local function ask(script, data)
  local pipe, reason = io.popen(command(script, data), "r")
  if not pipe then return nil, failure("cannot start a process: " .. tostring(reason)) end
  local line = pipe:read("*l")
  local answer = line and literal.decode(line)
  if type(answer) ~= "table" then
    pipe:close()
    return nil, failure(script .. " ended without an answer")
  end
  if answer.error then
    pipe:close()
    return nil, failure(answer.error)
  end
  return answer, pipe
end

local SCHEMA = {
  users = "table", admin = "text|table", tokens = "table", port = "count", lindorm_port = "count",
  dir = "text", version = "text", lindorm = "table", settings = "table",
}

local LINDORM = { sources = "table", tables = "table", create_tables = "boolean" }

-- Switches: what is not a boolean at first keeps its type.
local SETTINGS, WORDS = {}, {}
for _, name in ipairs { "schema", "lindorm_schema" } do
  local part = require("taskclient.sandbox." .. name)
  for setting, value in each(part.settings) do
    SETTINGS[setting] = type(value) == "boolean" and "any" or type(value)
  end
  for setting, words in each(part.words) do WORDS[setting] = words end
end
SETTINGS.admin = SCHEMA.admin

local function check_settings(where, settings)
  checks.check(where, settings, SETTINGS, "setting")
  for name, words in each(WORDS) do
    local known = settings[name] == nil
    for _, word in ipairs(words) do known = known or word == settings[name] end
    if not known then checks.raise(where, checks.unknown(name, settings[name], words)) end
  end
  if settings.lindorm then checks.check(where, settings.lindorm, LINDORM, "field") end
end

local function check_users(users)
  for name, password in each(users or {}) do
    if type(name) ~= "string" or type(password) ~= "string" then
      checks.raise("start", "option 'users': {name = password} expected, both texts")
    end
  end
end

local Sandbox = {}
Sandbox.__index = Sandbox
Sandbox.__close = function(sandbox) sandbox:stop() end
Sandbox.__gc = Sandbox.__close
Sandbox.__tostring = function(sandbox)
  return ("sandbox %s (%s)"):format(sandbox.url, sandbox.pipe and "running" or "stopped")
end

---Starts a sandbox and returns when both its faces answer.
---
---`users`: names and passwords (default: "hadoop" with a random password); `admin`: one of them;
---`tokens`: code to user, or "*" for any (default: a random one for any). Whoever holds a password
---or a token runs code as the user who started the sandbox. `port`, `lindorm_port`: on 127.0.0.1
---(default: free ones); `dir`: folder that keeps the state across runs, random passwords too
---(default: a temporary one, removed at the end); `version`: the profile (default "1.8";
---"published": as the published pages); `settings`: switches as for `sandbox:set`; `lindorm`:
---`{sources = {name = folder}, tables = {["namespace.table"] = {"ROW||String", …}},
---create_tables = bool}`.
---@param options? table
---@return table? sandbox with url, lindorm_url, user, password, token, dir, stop(), set{}, …
---@return table? err kind "io": what is missing, or why it did not start
function M.start(options)
  options = checks.check("start", options, SCHEMA)
  check_settings("start", options.settings or {})
  check_settings("start", { version = options.version, lindorm = options.lindorm })
  check_users(options.users)
  local answer, pipe = ask("supervisor.lua", options)
  if not answer then return nil, pipe end
  answer.pipe = pipe
  return setmetatable(answer, Sandbox)
end

---Ends the sandbox and everything it runs; returns when all is gone. Calling it again does nothing.
---@return true
function Sandbox:stop()
  local pipe = rawget(self, "pipe")
  if not pipe then return true end
  self.pipe = nil
  -- The signal as well as the pipe: another child of this process may hold the pipe's end open.
  os.execute("kill -TERM " .. self.pid .. " 2>/dev/null")
  pipe:close()
  return true
end

local function control(sandbox, action, data)
  if not sandbox.pipe then error("the sandbox is stopped", 3) end
  local answer, pipe = ask("control.lua", { dir = sandbox.dir, action = action, data = data })
  if not answer then error(pipe, 3) end
  pipe:close()
  return answer.value
end

---Changes switches of the running sandbox: doc/sandbox.md has them. Unknown names raise.
---@param settings table<string, any>
function Sandbox:set(settings)
  checks.argument("set", "settings", settings, "table")
  check_settings("set", settings)
  control(self, "set", settings)
end

---Runs SQL on the database that `sql` jobs and bulk loads work on.
---@param sql string one statement
---@return table rows lists of text or number, false for NULL
function Sandbox:query(sql)
  checks.argument("query", "sql", sql, "text")
  return control(self, "query", { sql = sql })
end

---The entrance process ends and comes back: its unfinished jobs become Cancelled, its execIDs
---start from 0 again.
---@param opts? table clean = true: it was stopped in good order, as at an upgrade; what it had
---  queued stays Inited for ever, with no instance and no source
function Sandbox:restart_entrance(opts)
  opts = checks.check("restart_entrance", opts, { clean = "boolean" })
  control(self, "restart_entrance", { clean = opts.clean or false })
end

---The idle consumers are cleared: execIDs of finished jobs find an empty slot (protocols 3.3).
function Sandbox:evict() control(self, "evict") end

---All sessions of the gateway end at once.
function Sandbox:expire_sessions() control(self, "expire_sessions") end

---Kills the server process; connections are refused until `resume_server`. Jobs go on.
function Sandbox:kill_server()
  control(self, "kill_server", { pid = self.pid, port = self.port })
end

---Starts the server process again on the same ports and returns when it answers.
function Sandbox:resume_server()
  control(self, "resume_server", { pid = self.pid, port = self.port })
end

---Runs a sandbox by hand until Ctrl-C. Where no `lindorm` is given, the data source "landing" of
---bulk loads is the current folder, and loads make the tables that are not there.
---@param options? table as for `start`
function M.main(options)
  local given = checks.check("main", options, SCHEMA)
  local loads = given.lindorm
  options = { lindorm = { sources = { landing = "." }, create_tables = true } }
  for name, value in each(given) do options[name] = value end
  local sandbox, err = M.start(options)
  if not sandbox then
    io.stderr:write(tostring(err), "\n")
    os.exit(1)
  end
  print("Linkis   " .. sandbox.url)
  print("Lindorm  " .. sandbox.lindorm_url)
  local who = "user     %s   password %s   token %s"
  print(who:format(sandbox.user, sandbox.password, sandbox.token))
  print "         whoever holds one of the two runs code as you"
  print("state    " .. sandbox.dir .. (sandbox.temporary and " (removed at the end)" or ""))
  if not loads then print 'source   "landing" is this folder' end
  print "for scripts in another shell:"
  print(("export TASKCLIENT_LINKIS_URL=%s TASKCLIENT_LINKIS_USER=%s \\\n"
    .. "  TASKCLIENT_LINKIS_PASSWORD=%s TASKCLIENT_LINDORM_URL=%s"):format(sandbox.url,
    sandbox.user, sandbox.password, sandbox.lindorm_url))
  print "Ctrl-C stops it."
  io.stdout:flush()
  pcall(sandbox.pipe.read, sandbox.pipe, "*l")
  pcall(sandbox.stop, sandbox)
  print("stopped")
end

return M
