-- What supervisor.lua does. Lua 5.4 with luv.

local uv = require "luv"
local boot_answer = require("taskclient.sandbox.literal").encode
local folder = require "taskclient.sandbox.folder"
local nginx_conf = require "taskclient.sandbox.nginx_conf"
local schema = require "taskclient.sandbox.schema"
local store = require "taskclient.sandbox.store"

local M = {}

local START_TIMEOUT = 10000 -- ms until a face that does not answer counts as failed
local PORT_ATTEMPTS = 5
local GRACE = 3000 -- ms between asking a child to end and killing it
local TICK = 1000
local STDERR = 4 -- init.lua's: our own stderr is closed, for luv writes to it

local state = { children = {} }

-- Folder ------------------------------------------------------------------------------------------

local function prepare_folder(options)
  local wanted = options.dir or folder.parent()
  if wanted:find '["\\$%c]' then -- it stands in quotes in nginx.conf
    error(("the folder's name may hold none of \" \\ $: %s"):format(wanted), 0)
  end
  state.temporary = not options.dir
  state.dir = options.dir and folder.make(options.dir) or folder.temporary()
  uv.fs_mkdir(state.dir .. "/tmp", 448)
end

-- A folder serves one sandbox at a time; the lock goes with the process that holds it.
local function lock_folder()
  local lock = state.dir .. "/supervisor.pid"
  local file = io.open(lock)
  local pid = file and tonumber(file:read("a"))
  if file then file:close() end
  if pid and uv.kill(pid, 0) == 0 then
    local command = io.open("/proc/" .. pid .. "/cmdline")
    local text = command and command:read("a") or "supervisor.lua"
    if command then command:close() end
    if text:find("supervisor.lua", 1, true) then
      error(("the folder %s is in use by the sandbox of process %d"):format(state.dir, pid), 0)
    end
  end
  file = assert(io.open(lock, "w"))
  file:write(uv.os_getpid())
  file:close()
end

-- Settings ----------------------------------------------------------------------------------------

local function first_of(admin)
  if type(admin) == "table" then admin = admin[1] end
  return admin or "hadoop"
end

local function random_text()
  local file = assert(io.open("/dev/urandom", "rb"))
  local bytes = file:read(12)
  file:close()
  return (bytes:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

-- Whoever logs in runs code on this machine, so nothing that can be guessed opens the sandbox: a
-- password and a token that nobody has given are random. A folder that is used again keeps them.
local function fill_credentials(settings, kept)
  if not settings.users and not next(kept.users) then
    settings.users = { [first_of(settings.admin or kept.admin)] = random_text() }
  end
  if not settings.tokens and not next(kept.tokens) then
    settings.tokens = { [random_text()] = "*" }
  end
end

local function write_settings(options)
  local settings = { dir = state.dir, engine_port = 0 }
  for name, value in pairs(options.settings or {}) do settings[name] = value end
  for _, name in ipairs { "users", "admin", "tokens", "version", "lindorm" } do
    settings[name] = options[name]
  end
  local db = store.open_state(state.dir)
  uv.fs_chmod(state.dir .. "/" .. store.state_file, 384) -- it holds the passwords: 0600
  fill_credentials(settings, db:settings())
  db:set(settings)
  db:run "DELETE FROM slot"
  db:run "DELETE FROM command"
  local all = db:settings()
  state.users, state.tokens = all.users, all.tokens
  db:close()
end

local function write_ports()
  local db = store.open_state(state.dir)
  db:set { port = state.port, lindorm_port = state.lindorm_port }
  db:close()
end

-- Ports and readiness -----------------------------------------------------------------------------

-- A free port that is not the other one, which nobody listens on yet.
local function free_port(other)
  local tcp = uv.new_tcp()
  assert(tcp:bind("127.0.0.1", 0))
  local port = tcp:getsockname().port
  tcp:close()
  return port ~= other and port or free_port(other)
end

-- One HTTP exchange; `done(true)` when a reply came.
local function knock(port, path, done)
  local tcp = uv.new_tcp()
  local function finish(ok)
    if not tcp:is_closing() then
      tcp:close()
      done(ok)
    end
  end
  tcp:connect("127.0.0.1", port, function(err)
    if err then return finish(false) end
    tcp:write("GET " .. path .. " HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    tcp:read_start(function(_, chunk) finish(chunk and chunk:find("^HTTP/1") ~= nil) end)
  end)
end

-- Calls `done(true)` when every port answers, `done(false)` when `alive()` no longer holds or
-- time is up.
local function wait_ports(ports, alive, done)
  local deadline = uv.now() + START_TIMEOUT
  local timer = uv.new_timer()
  local busy = false
  timer:start(0, 20, function()
    if busy or timer:is_closing() then return end
    if not alive() or uv.now() > deadline then
      timer:close()
      return done(false)
    end
    if #ports == 0 then
      timer:close()
      return done(true)
    end
    busy = true
    knock(ports[1], "/", function(ok)
      busy = false
      if ok then table.remove(ports, 1) end
    end)
  end)
end

-- Children ----------------------------------------------------------------------------------------

local finish -- below: the end of everything

-- Each child is a session of its own, so that a Ctrl-C on the user's terminal reaches only the
-- user's script: it may still want to abort its jobs here.
local function spawn(name, program, arguments, stdio, env)
  local child = { name = name }
  local handle, pid = uv.spawn(program, {
    args = arguments, stdio = stdio, env = env, detached = true,
  }, function(code, signal)
    child.ended = true
    child.handle:close()
    if state.children[name] == child then state.children[name] = nil end
    if child.on_end then child.on_end(code, signal) end
  end)
  if not handle then error(("cannot start %s: %s"):format(program, pid), 0) end
  child.handle, child.pid = handle, pid
  state.children[name] = child
  return child
end

local function unexpected(child)
  child.on_end = function(code, signal)
    local text = "sandbox: %s ended unexpectedly (code %d, signal %d)\n"
    uv.fs_write(STDERR, text:format(child.name, code, signal))
    finish(1)
  end
end

-- nginx runs LuaJIT: the user's paths may lead to modules of another Lua.
local function without_lua_paths()
  local env = {}
  for name, value in pairs(uv.os_environ()) do
    if not name:find "^LUA_" then env[#env + 1] = name .. "=" .. value end
  end
  return env
end

local function start_nginx()
  local path = state.dir .. "/nginx.conf"
  local file = assert(io.open(path, "w"))
  file:write(nginx_conf.text(state.nginx, state))
  file:close()
  return spawn("nginx", state.nginx.bin, {
    "-p", state.dir, "-c", path, "-e", state.dir .. "/error.log",
  }, {}, without_lua_paths())
end

local function start_engine()
  local input, output = uv.new_pipe(), uv.new_pipe()
  local child = spawn("engine", state.interpreter,
    { state.root .. "taskclient/sandbox/engine.lua", state.dir },
    { input, output, STDERR })
  child.input = input -- closing it is the order to leave
  output:read_start(function(_, chunk) child.ready = child.ready or chunk ~= nil end)
  return child
end

local function last_lines(path)
  local file = io.open(path)
  if not file then return "" end
  local text = file:read("a")
  file:close()
  return text:sub(-800)
end

-- The end -----------------------------------------------------------------------------------------

local function ask_to_end(child)
  child.on_end = nil
  if child.input then child.input:close() end
  if child.name == "nginx" then uv.kill(child.pid, "sigterm") end
end

function finish(code)
  if state.finishing then return end
  state.finishing = true
  for _, child in pairs(state.children) do ask_to_end(child) end
  local deadline = uv.now() + GRACE
  local timer = uv.new_timer()
  timer:start(0, 10, function()
    if next(state.children) then
      if uv.now() < deadline then return end
      for _, child in pairs(state.children) do uv.kill(child.pid, "sigkill") end
      deadline = uv.now() + GRACE
      return
    end
    timer:close()
    require("taskclient.sandbox.groups").kill_left(state.dir)
    folder.clean(state.dir)
    os.exit(code)
  end)
end

-- The script is gone when nobody reads our output any more, or when our parent is another.
local function watch_script()
  local poll = uv.new_poll(1)
  poll:start("rd", function() finish(0) end)
  local parent = uv.os_getppid()
  local timer = uv.new_timer()
  timer:start(TICK, TICK, function()
    if uv.os_getppid() ~= parent then finish(0) end
  end)
end

local function watch_signals()
  for _, name in ipairs { "sigterm", "sighup" } do
    uv.new_signal():start(name, function() finish(0) end)
  end
  -- Ctrl-C is the script's to handle; its end ends us.
  uv.new_signal():start("sigint", function() end)
  uv.new_signal():start("sigpipe", function() end)
end

-- USR1 kills nginx as a crash would, USR2 brings it back (sandbox:kill_server, resume_server).
local function watch_orders()
  uv.new_signal():start("sigusr1", function()
    local child = state.children.nginx
    if not child then return end
    child.on_end = nil
    uv.kill(child.pid, "sigkill")
  end)
  uv.new_signal():start("sigusr2", function()
    if not state.children.nginx and not state.finishing then unexpected(start_nginx()) end
  end)
end

-- Start -------------------------------------------------------------------------------------------

local function first_user(admin)
  if type(admin) == "string" and state.users[admin] then return admin end
  local names = {}
  for name in pairs(state.users) do names[#names + 1] = name end
  table.sort(names)
  return names[1]
end

local function report(options)
  local user = first_user(options.admin or schema.settings.admin)
  local tokens = {}
  for code in pairs(state.tokens) do tokens[#tokens + 1] = code end
  table.sort(tokens)
  io.write(boot_answer {
    url = "http://127.0.0.1:" .. state.port,
    lindorm_url = "http://127.0.0.1:" .. state.lindorm_port,
    port = state.port, lindorm_port = state.lindorm_port, dir = state.dir, pid = uv.os_getpid(),
    temporary = state.temporary or false, user = user, password = state.users[user],
    token = tokens[1],
    engine_pid = state.children.engine.pid,
  }, "\n")
  io.flush()
end

local function fail(message)
  io.write(boot_answer { error = message }, "\n")
  io.flush()
  finish(1)
end

local function bring_up(options, attempt)
  state.port = options.port or free_port(options.lindorm_port)
  state.lindorm_port = options.lindorm_port or free_port(state.port)
  write_ports()
  local nginx = start_nginx()
  wait_ports({ state.port, state.lindorm_port }, function() return not nginx.ended end, function(ok)
    if ok then
      unexpected(nginx)
      report(options)
    elseif nginx.ended and not options.port and attempt < PORT_ATTEMPTS
      and last_lines(state.dir .. "/error.log"):find("Address already in use", 1, true) then
      bring_up(options, attempt + 1)
    else
      fail("nginx does not start: " .. last_lines(state.dir .. "/error.log"))
    end
  end)
end

local function when_engine_is_ready(done)
  local engine = start_engine()
  unexpected(engine)
  engine.on_end = function() fail "the engine process does not start" end
  local timer = uv.new_timer()
  timer:start(0, 5, function()
    if engine.ready or engine.ended then timer:close() end
    if engine.ready then
      unexpected(engine)
      done()
    end
  end)
end

---@param options table as given to sandbox.start
---@param root string folder that holds taskclient/
function M.start(options, root)
  local found, reason = require("taskclient.sandbox.nginx").find()
  if not found then error(reason, 0) end
  state.nginx, state.root, state.interpreter = found, root, uv.exepath()
  watch_signals()
  watch_orders()
  prepare_folder(options)
  local ok, why = pcall(function()
    lock_folder()
    write_settings(options)
  end)
  if not ok then
    if state.temporary then folder.clean(state.dir) end
    error(why, 0)
  end
  watch_script()
  when_engine_is_ready(function() bring_up(options, 1) end)
  uv.run()
end

return M
