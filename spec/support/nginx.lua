-- A real nginx for specs: its Lua module, our files, a Unix socket to ask it
-- by, a folder of its own. Knows the configuration; knows nothing of what the
-- locations do.

local process = require "spec.support.process"
local wait = require "spec.support.wait"

local M = {}
local Nginx = {}
Nginx.__index = Nginx

local TEMPLATE = [[
$modules
$user
daemon off;
worker_processes $workers;
pid $dir/nginx.pid;
error_log $dir/error.log info;
$pool
env PATH;
env TMPDIR;
$env
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path $dir/body;
  proxy_temp_path $dir/proxy;
  fastcgi_temp_path $dir/fastcgi;
  uwsgi_temp_path $dir/uwsgi;
  scgi_temp_path $dir/scgi;
  lua_package_path "$root/?.lua;$root/lua/?.lua;$root/lua/?/init.lua;$lua_path;;";
  lua_package_cpath "$root/$build/luajit/?.so;;";
  lua_check_client_abort on;
  $http
  server {
    listen unix:$dir/socket;
    $server
  }
}
]]

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  file:close()
end

local function line_of(command)
  local pipe = assert(io.popen(command, "r"))
  local line = pipe:read "*l"
  pipe:close()
  return line
end

local function locations(list)
  local parts = {}
  for path, code in pairs(list or {}) do
    if not code:find "_by_lua" then code = "content_by_lua_block {" .. code .. "}" end
    parts[#parts + 1] = ("location = %s {%s}"):format(path, code)
  end
  return table.concat(parts, "\n")
end

local function environment(env)
  local parts = {}
  for name in pairs(env or {}) do parts[#parts + 1] = "env " .. name .. ";" end
  return table.concat(parts, "\n")
end

---Starts nginx. opts: locations (path to Lua code, or to directives), http
---(more text), pool (false: no thread pool), workers, env.
---@param opts table
function M.start(opts)
  local found = assert(require("taskclient.sandbox.nginx").find())
  local dir = process.tempdir()
  local load = {}
  for i, path in ipairs(found.load) do load[i] = ('load_module "%s";'):format(path) end
  local values = {
    modules = table.concat(load, "\n"), dir = dir, root = line_of "pwd", lua_path = found.lua_path,
    -- started by root, it would serve as a user who may not read root's folders
    user = line_of "id -u" == "0" and "user root;" or "",
    build = os.getenv "TASKCLIENT_BUILD" or "build", workers = tostring(opts.workers or 1),
    pool = opts.pool == false and "" or "thread_pool taskclient threads=1;",
    env = environment(opts.env), http = opts.http or "", server = locations(opts.locations),
  }
  write(dir .. "/nginx.conf", (TEMPLATE:gsub("%$([%a_]+)", values)))
  os.execute("chmod 755 " .. dir)
  local self = setmetatable({ dir = dir }, Nginx)
  self.child = process.start({ found.bin, "-p", dir, "-c", dir .. "/nginx.conf",
    "-e", dir .. "/error.log" }, { env = opts.env })
  wait.eventually(function()
    return self.child:code() or self:curl("/nothing", "-o /dev/null") == 0
  end, 10, "nginx")
  assert(self.child:running(), "nginx did not start:\n" .. self:log())
  return self
end

---Asks by curl: exit code and body. more: further options of curl.
function Nginx:curl(path, more)
  local pipe = assert(io.popen((
    "curl -s --max-time 100 --unix-socket %s/socket %s 'http://x%s'; echo \" $?\""
  ):format(self.dir, more or "", path), "r"))
  local text = pipe:read "*a"
  pipe:close()
  local body, code = text:match "^(.*) (%d+)\n$"
  return tonumber(code), body
end

---The body of a location.
function Nginx:get(path, more)
  local code, body = self:curl(path, more)
  assert(code == 0, ("curl %s: %s\n%s"):format(path, code, self:log()))
  return body
end

---A request that goes on in the background: a process.
function Nginx:ask(path)
  return process.start { "curl", "-sN", "--max-time", "60", "--unix-socket",
    self.dir .. "/socket", "http://x" .. path }
end

---What nginx has written to its error log.
function Nginx:log()
  local file = io.open(self.dir .. "/error.log")
  local text = file and file:read "*a" or ""
  if file then file:close() end
  return text
end

function Nginx:pid()
  local file = assert(io.open(self.dir .. "/nginx.pid"))
  local pid = file:read "*n"
  file:close()
  return pid
end

---Sends a signal to the master: HUP, QUIT, TERM.
function Nginx:signal(name)
  os.execute(("kill -%s %d"):format(name, self:pid()))
end

function Nginx:stop()
  self.child:stop()
  os.execute("rm -rf " .. process.quote(self.dir))
end

return M
