--- Finds an nginx with the Lua module that the sandbox can run.
-- Knows where one may lie on the disk; starts nothing but `nginx -V`.

local M = {}

-- What is found:
--   bin       the program to run
--   load      absolute paths for `load_module`, in order; may be empty
--   modules   the folder they lie in, nil when built in
--   lua_path  prefix for `lua_package_path` that holds resty.core, "" when built in
--   version   as `nginx -v` says it, for instance "1.22.1"

local MODULES = { "ndk_http_module.so", "ngx_http_lua_module.so" }

local SYSTEM = {
  "/usr/local/openresty/nginx/sbin/nginx", "/usr/sbin/nginx",
  "/usr/local/sbin/nginx", "/usr/local/bin/nginx", "/opt/homebrew/bin/nginx",
}

local HELP = "no nginx with its Lua module was found: run `make build/nginx` in the "
  .. "source folder, or install one (on Debian nginx and libnginx-mod-http-lua), or set "
  .. "TASKCLIENT_NGINX to the nginx binary"

local function exists(path)
  local file = path and io.open(path, "rb")
  if file then file:close() end
  return file ~= nil
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function here()
  local source = debug.getinfo(1, "S").source:match("^@(.*)$") or ""
  return source:match("^(.*)/[^/]*$") or "."
end

-- Absolute, and without "..": it ends in a configuration file people read.
local function absolute(path)
  if path:sub(1, 1) ~= "/" then
    local pipe = io.popen("pwd", "r")
    path = (pipe and pipe:read "*l" or "") .. "/" .. path
    if pipe then pipe:close() end
  end
  path = path:gsub("/%./", "/")
  local n
  repeat
    path, n = path:gsub("/([^/]+)/%.%./", function(name)
      return name ~= ".." and "/" or nil
    end, 1)
  until n == 0
  return path
end

local function configuration(bin)
  local pipe = io.popen(quote(bin) .. " -V 2>&1 </dev/null", "r")
  local text = pipe and pipe:read("*a") or ""
  if pipe then pipe:close() end
  return text:find("configure arguments", 1, true) and text
end

-- Where the modules lie: nginx's own folder first, then what the build says.
local function module_folder(bin, text)
  local root = bin:match("^(.*)/[^/]*$")
  for _, folder in ipairs {
    root .. "/usr/lib/nginx/modules", text:match("%-%-modules%-path=(%S+)") or "",
    "/usr/lib/nginx/modules", "/usr/lib64/nginx/modules",
  } do
    if exists(folder .. "/" .. MODULES[2]) then return folder end
  end
end

local function resty(bin)
  local root = bin:match("^(.*)/[^/]*$")
  for _, folder in ipairs { root .. "/usr/share/lua/5.1", "/usr/share/lua/5.1" } do
    if exists(folder .. "/resty/core.lua") then return folder .. "/?.lua;" end
  end
  return ""
end

local function inspect(bin)
  if not exists(bin) then return nil, bin .. " is not there" end
  bin = absolute(bin)
  local text = configuration(bin)
  if not text then return nil, bin .. " does not run as nginx" end
  local found = { bin = bin, load = {}, version = text:match("nginx version: [^/]+/(%S+)") }
  if text:find("ngx_lua", 1, true) or text:find("lua-nginx-module", 1, true) then
    found.lua_path = ""
    return found
  end
  found.modules = module_folder(bin, text)
  if not found.modules then return nil, bin .. " has no Lua module" end
  for _, name in ipairs(MODULES) do
    local path = found.modules .. "/" .. name
    if exists(path) then found.load[#found.load + 1] = path end
  end
  found.lua_path = resty(bin)
  return found
end

-- The unpacked nginx of `make build/nginx`, beside the sources or installed.
local function unpacked()
  local folder = here()
  return { folder .. "/../../../../taskclient/nginx/nginx",
           folder .. "/../../../build/nginx/nginx" }
end

---The first usable nginx: TASKCLIENT_NGINX, the one installed with taskclient,
---the one unpacked in the source folder, the system's.
---@return table? found
---@return string? err what to do about it
function M.find()
  local named = os.getenv "TASKCLIENT_NGINX"
  if named and named ~= "" then
    local found, err = inspect(named)
    return found, err and "TASKCLIENT_NGINX: " .. err
  end
  for _, list in ipairs { unpacked(), SYSTEM } do
    for _, bin in ipairs(list) do
      local found = inspect(bin)
      if found then return found end
    end
  end
  return nil, HELP
end

return M
