-- What clients of both servers share: their common options, the call, attach,
-- trace and the printed form. Knows the core; knows neither server's words.

local clock = require "taskclient.rpc.clock"
local core = require "taskclient.core"
local each = require "taskclient.compat".each
local failure = require "taskclient.error"
local redaction = require "taskclient.text.redact"
local host = require "taskclient.host"
local relay = require "taskclient.host.relay"
local options = require "taskclient.options"
local pcalls = require "taskclient.host.pcall"
local request = require "taskclient.rpc.request"
local retry = require "taskclient.rpc.retry"

local M = {}

-- options of both constructors that this layer reads; the core has those it takes unchanged
M.SCHEMA = {
  url = "any", headers = "table", cookies = "table|string",
  user = "text", password = "text|function", timeout = "duration",
  host = "string|table", log = "function|table", allow_plaintext = "boolean",
}

local TO_CORE = {}
for name, kind in each(core.options) do
  if not M.SCHEMA[name] and name ~= "cookie" and name ~= "session" then
    M.SCHEMA[name], TO_CORE[#TO_CORE + 1] = kind, name
  end
end

local COOKIE_LEAST = 8 -- letters of a cookie's value that is a secret by itself

local CALL_OPTIONS = {
  timeout = "duration", deadline = "number", retry = "boolean", pick = "any",
  max_body = "size", file = "text", overwrite = "boolean", method = "text", fresh = "boolean",
  durable = "boolean",
}

---@class taskclient.Client
local Client = {}
M.Client = Client

--- A constructor's options with the environment's values where nothing is said.
---@param where string
---@param given table|nil
---@param schema table
---@param environment table<string, string> option -> variable
---@return table opts a copy
function M.settings(where, given, schema, environment)
  options.check(where, given, schema)
  local opts = {}
  for name, value in each(given or {}) do opts[name] = value end
  for name, variable in each(environment) do
    local value = os.getenv(variable)
    if opts[name] == nil and value ~= "" then opts[name] = value end
  end
  if opts.url == nil then
    options.raise(where, ("option 'url' is missing (or set %s)"):format(environment.url))
  end
  local complaint = options.url_complaint(opts.url)
  if complaint then options.raise(where, complaint) end
  return opts
end

-- {Name = value} or {{name, value}, …} as the core's list.
local function header_list(where, headers)
  local list = {}
  for name, value in each(headers or {}) do
    local pair = type(name) == "number" and value or { name, value }
    if type(pair) ~= "table" or type(pair[1]) ~= "string" or pair[2] == nil then
      options.raise(where, "option 'headers': a table of names and values expected")
    end
    local hidden = type(pair[2]) == "string" and redaction.named(pair[1])
      and not pair[1]:lower():find "user$"
    list[#list + 1] = { pair[1], hidden and core.secret(pair[2]) or pair[2] }
  end
  return list
end

local function is_cookie(name, value)
  return type(name) == "string" and not name:find "[=;%s]"
    and (type(value) == "string" or type(value) == "number") and not tostring(value):find ";"
end

local function cookie_text(where, cookies)
  if type(cookies) ~= "table" then return cookies end
  local names, parts = {}, {}
  for name, value in each(cookies) do
    if not is_cookie(name, value) then
      options.raise(where, "option 'cookies': a table of names and texts without ';' expected")
    end
    names[#names + 1] = name
  end
  table.sort(names)
  for i, name in ipairs(names) do parts[i] = name .. "=" .. tostring(cookies[name]) end
  return parts[1] and table.concat(parts, "; ")
end

local PROXIES = {
  http = true, https = true, socks4 = true, socks4a = true, socks5 = true, socks5h = true,
}

-- What libcurl would find out late, and then for a failure of the network. May hold a password.
local function check_proxy(where, proxy)
  if proxy == nil or proxy == "env" then return end
  local scheme = proxy:match "^(%w+)://[^%s%c/]+/?$"
  if not scheme or not PROXIES[scheme:lower()] then
    options.raise(where, "option 'proxy': 'env' or a URL as 'http://proxy:3128' expected")
  end
end

local function is_loopback(url)
  local place = url:match "^%w+://([^/]*)" or ""
  local name = place:match "([^@]*)$" -- a proxy's may have credentials before it
  return core.loopback(name:match "^%b[]" or name:match "^[^:]*")
end

-- What stands between the client and the server in plain HTTP: nil for nothing, false for
-- something whose address is not known here.
local function proxy_of(opts)
  if opts.proxy ~= "env" then return opts.proxy end
  for _, name in ipairs { "http_proxy", "all_proxy", "ALL_PROXY" } do
    if (os.getenv(name) or "") ~= "" then return false end
  end
end

-- Whether secrets would travel in the open: decided by the addresses they go to.
local function in_the_open(opts)
  if not opts.url:lower():match "^http:" then return false end
  local proxy = proxy_of(opts)
  return not is_loopback(opts.url) or proxy ~= nil and not (proxy and is_loopback(proxy))
end

local function holds_secret(opts, headers)
  for _, header in ipairs(headers) do
    if type(header[2]) == "userdata" then return true end -- core.secret
  end
  return opts.password ~= nil or opts.token ~= nil or opts.cookies ~= nil
end

local function chosen_host(where, opts)
  if opts.host == nil then return nil end
  local found, why = host.find(opts.host)
  if not found then options.raise(where, why) end
  return found
end

local function fields_of(where, service, opts, fields)
  fields.service = service
  fields.url = opts.url:gsub("/+$", "")
  fields.headers = header_list(where, opts.headers)
  fields.host = chosen_host(where, opts)
  fields.budget = retry.budget()
  fields.log, fields.timeout = opts.log, opts.timeout
  fields.insecure = opts.insecure
  return fields
end

local function hide_cookies(client, text, user)
  for value in text:gmatch "=([^;]+)" do
    if #value >= COOKIE_LEAST then client:hide(value, user) end
  end
end

-- The secrets that the core is not given, and what of a header or of cookies may come back alone.
local function hide_parts(client, opts)
  for _, name in ipairs { "password", "token", "proxy_code" } do
    if type(opts[name]) == "string" then client:hide(opts[name], opts.user) end
  end
  for _, header in ipairs(core.fields(client).headers) do
    local value = type(header[2]) == "userdata" and core.reveal(header[2])
    local part = value and value:match "^%a+%s+(%S+)$" -- Bearer x
    if part then client:hide(part, opts.user) end
    if value and header[1]:lower() == "cookie" then hide_cookies(client, value, opts.user) end
  end
  local text = cookie_text("", opts.cookies)
  if type(text) == "string" then hide_cookies(client, text, opts.user) end
end

--- Makes the userdata.
---@param where string
---@param service string
---@param opts table checked options
---@param class table
---@param fields table what the service adds to the fields
---@param more table further options of the core
---@return userdata|nil client
---@return table|nil err
function M.new(where, service, opts, class, fields, more)
  fields = fields_of(where, service, opts, fields)
  check_proxy(where, opts.proxy)
  more.url, more.headers, more.cookie = opts.url, fields.headers, cookie_text(where, opts.cookies)
  more.fields = fields
  for _, name in ipairs(TO_CORE) do more[name] = opts[name] end
  local fine, client, err = pcall(core.client, service, more, class)
  if not fine then options.again(where, client) end
  if not client then return nil, err end
  hide_parts(client, opts)
  if in_the_open(opts) and holds_secret(opts, fields.headers) then
    if opts.allow_plaintext == false then
      options.raise(where, "a password, token or other secret over http; use https")
    end
    client:trace("warn", { what = "plaintext", url = fields.url })
  end
  return client
end

local PORTS = { http = "80", https = "443" }

-- A URL as far as it says which server is meant: no case of the host, no usual port, no user.
local function server_of(url)
  local scheme, place, path = url:match "^(%w+)://([^/?#]*)([^?#]*)"
  if not scheme then return url end
  scheme, place = scheme:lower(), place:match("[^@]*$"):lower()
  if not place:find ":%d+$" then place = place .. ":" .. (PORTS[scheme] or "") end
  return scheme .. "://" .. place .. path:gsub("/+$", "")
end

--- Refuses a handle of another server: its id would be another task's here.
---@private
---@param client userdata
---@param handle table
function M.check_server(client, handle)
  local url = core.fields(client).url
  if not handle.url or server_of(handle.url) == server_of(url) then return end
  options.raise("attach", ("the handle is of the server at %s, this client is of %s; if that is "
    .. "the same server, leave `url` out of the handle"):format(
    core.clean(client:redact(server_of(handle.url)), 200, "line"), server_of(url)))
end

--- Refuses a list that holds anything but jobs of this client.
---@private
---@param where string
---@param client userdata
---@param jobs userdata[]
function M.check_jobs(where, client, jobs)
  options.argument(where, "jobs", jobs, "table")
  for i, job in ipairs(jobs) do
    if type(job) ~= "userdata" or job.client ~= client then
      options.raise(where, ("jobs[%d]: a job of this client expected"):format(i))
    end
  end
end

local function without_call(_, ...) return ... end

--- Sends one operation and gives its decoded reply: logs in when needed, renews
--- a session that ended, tries reads again.
---@param operation string by the server's name, as in `core.operations(service)`
---@param args table|nil parameters by the server's names; `body`: JSON text
---@param opts table|nil timeout and deadline (seconds; the latter monotonic), retry = false,
---  pick, max_body, file, overwrite, durable (the file is synced; default: in plain scripts),
---  method, fresh
---@return any result nil on failure; with `pick`: true, value, …
---@return any err
function Client:call(operation, args, opts)
  if opts then options.check("call", opts, CALL_OPTIONS) end
  return without_call(request.send(self, operation, args, opts))
end

--- The server's time, as its replies tell it: what a list's `since` and `before` are compared with.
---@param ask boolean|nil true: where no reply has told it yet, one is asked for (Linkis)
---@param deadline number|nil monotonic
---@return number|nil Unix seconds, never later than it is, and up to 26 hours earlier where the
---  server names its zone by a word other than UTC or GMT; nil: no reply has told it
function Client:server_time(ask, deadline)
  local time = clock.server(self)
  if time or not ask then return time end
  self:ask_time(deadline)
  return clock.server(self)
end

--- Sends what a server answers with its time; nothing where it has nothing harmless.
---@private
---@return nil
function Client:ask_time() end

--- What a server wants to hear of jobs that are held, now and then: nothing here.
---@private
---@return nil
function Client:keep_alive() end

local function complain(text)
  local ngx = rawget(_G, "ngx")
  if ngx and ngx.log then return ngx.log(ngx.ERR, "taskclient: ", text) end
  io.stderr:write("taskclient: ", text, "\n")
end

-- What the function raises decides nothing: it is told once.
local function hand_over(fields, level, event)
  local heard = core.sigint()
  local ok, why = pcalls.brief(fields.log, level, event)
  if ok then return end
  if pcalls.interrupted(why, heard) then error(why, 0) end
  if fields.log_failed then return end
  fields.log_failed = true
  complain("the 'log' function has failed, further failures are not told: " .. tostring(why))
end

--- Tells the `log` option's function what happens. An error in it is told on stderr, once for
--- each client, and goes no further.
---@private
---@param level string "debug", "info", "warn"
---@param event table {what=, operation=, …}, never a secret
function Client:trace(level, event)
  local fields = core.fields(self)
  if not fields.log then return end
  if event.err then event.err = failure.copy(event.err) end
  relay.outside(hand_over, fields, level, event)
end

function Client:__tostring()
  local fields = core.fields(self)
  local list = { fields.user and "user " .. fields.user }
  if fields.insecure then list[#list + 1] = "INSECURE: certificates are not checked" end
  if self:closed() then list[#list + 1] = "closed" end
  local tail = list[1] and " (" .. table.concat(list, ", ") .. ")" or ""
  return ("%s client %s%s"):format(fields.service, fields.url, tail)
end

local classes = { Client } -- all that were made

--- A class table with the shared methods and those given.
---@param methods table
---@return table class
function M.class(methods)
  local class = {}
  for name, method in each(Client) do class[name] = method end
  for name, method in each(methods) do class[name] = method end
  classes[#classes + 1] = class
  return class
end

--- Gives the clients of every server further methods, as the modules of workflow/ do.
---@param methods table
function M.install(methods)
  for _, class in ipairs(classes) do
    for name, method in each(methods) do class[name] = method end
  end
end

return M
