-- The job console: starts nginx with console.lua, and a sandbox unless
-- TASKCLIENT_LINKIS_URL names a server. Run it, open the address it prints,
-- end it with Ctrl-C:  lua5.4 examples/nginx/serve.lua [port]
-- It answers to 127.0.0.1 and localhost, and to further names that stand in
-- TASKCLIENT_CONSOLE_NAMES, with blanks between (that of a proxy in front).

local here = arg[0]:match("^(.*)/[^/]*$") or "."
local sandbox = require "taskclient.sandbox"
local nginx = require "taskclient.sandbox.nginx"

local function read(command)
  local pipe = assert(io.popen(command))
  local line = pipe:read "*l"
  pipe:close()
  return line
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
end

local function fill(values)
  local file = assert(io.open(here .. "/nginx.conf"))
  local text = file:read "*a"
  file:close()
  return (text:gsub("%$([%a_]+)", values))
end

-- where the Lua files of the installed or built taskclient lie
local function source_root()
  local file = assert(package.searchpath("taskclient", package.path))
  return read(("cd '%s/..' && pwd"):format(file:match("^(.*)/[^/]*$") or "."))
end

local function stop(message)
  io.stderr:write(message, "\n")
  os.exit(1)
end

-- the names it answers to, as nginx writes them
local function names()
  local list = { "127.0.0.1", "localhost", "*.localhost", "[::1]" }
  for name in (os.getenv "TASKCLIENT_CONSOLE_NAMES" or ""):gmatch "%S+" do
    if name:find "[^%w.-]" then
      stop("TASKCLIENT_CONSOLE_NAMES: names without ports expected, got " .. name)
    end
    list[#list + 1] = name
  end
  return table.concat(list, " ")
end

local found, why = nginx.find()
if not found then stop(why) end
local port = tonumber(arg[1]) or 8088
if port == 0 then -- a free one
  local uv = require "luv"
  local socket = uv.new_tcp()
  assert(socket:bind("127.0.0.1", 0))
  port = socket:getsockname().port
  socket:close()
  uv.run()
end
local dir = read "mktemp -d"
local root = source_root()
local folder = read(("cd '%s' && pwd"):format(here))
local cpath = root .. "/../build/luajit/?.so;" .. (os.getenv "TASKCLIENT_LUAJIT_CPATH" or "")
  .. ";" .. root .. "/../../../lib/lua/5.1/?.so"
if not package.searchpath("taskclient.core", cpath) then
  stop "nginx runs LuaJIT, and the core is not built for it: make deps all LUA=luajit"
end

-- the paths of this Lua are not LuaJIT's
local server, environment = nil, "env -u LUA_PATH -u LUA_CPATH "
if not os.getenv "TASKCLIENT_LINKIS_URL" then
  server = assert(sandbox.start())
  environment = environment .. ("TASKCLIENT_LINKIS_URL='%s' TASKCLIENT_LINKIS_USER='%s' "
    .. "TASKCLIENT_LINKIS_PASSWORD='%s' "):format(server.url, server.user, server.password)
end

local load = {}
for i, path in ipairs(found.load) do load[i] = ('load_module "%s";'):format(path) end
write(dir .. "/nginx.conf", fill {
  load_modules = table.concat(load, "\n"), dir = dir, port = port,
  names = names(),
  -- started by root, nginx serves as a user who may not read root's folders
  user = read "id -u" == "0" and "user root;" or "",
  html = folder .. "/html",
  lua_path = found.lua_path .. folder .. "/?.lua;" .. root .. "/?.lua;" .. root .. "/?/init.lua",
  lua_cpath = cpath,
})

print(("job console: http://127.0.0.1:%d/   (Ctrl-C ends it)"):format(port))
io.stdout:flush()
-- the shell sees to it that nginx ends with this script, however that ends
local WATCH = [[
%s '%s' -p '%s' -c '%s/nginx.conf' & nginx=$!
trap 'kill $nginx' INT TERM
while kill -0 $PPID && kill -0 $nginx; do sleep 0.3; done 2>/dev/null
kill $nginx 2>/dev/null
wait $nginx
rm -rf '%s']]
os.execute(WATCH:format(environment, found.bin, dir, dir, dir))
if server then server:stop() end
os.execute(("rm -rf '%s'"):format(dir))
