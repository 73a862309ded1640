-- Replies as a gateway and the services behind it write them: envelopes, Boot's error
-- bodies, headers (protocols 1). Knows nginx and the shapes, not what they are about.

local json = require "taskclient.sandbox.face.json"
local settings = require "taskclient.sandbox.face.settings"
local versions = require "taskclient.sandbox.face.versions"

local M = {}

-- Envelope status -> HTTP code (protocols 1.2).
local http_of = { [0] = 200, [1] = 400, [2] = 412, [3] = 403, [4] = 206, [-1] = 401 }

local reasons = { [400] = "Bad Request", [401] = "Unauthorized", [404] = "Not Found",
  [405] = "Method Not Allowed", [415] = "Unsupported Media Type",
  [500] = "Internal Server Error", [503] = "Service Unavailable" }

M.services = {
  entrance = { name = "linkis-cg-entrance", port = 9104 },
  publicservice = { name = "linkis-ps-publicservice", port = 9105 },
  gateway = { name = "linkis-mg-gateway", port = 9001 },
}

local DEAD_COOKIE = "dataworkcloud_inner_request=false; Path=/; Expires=Thu, 01-Jan-1970 "
  .. "00:00:00 GMT; Max-Age=0"

local function dead_cookie()
  ngx.header["Set-Cookie"] = DEAD_COOKIE
  ngx.header["Expires"] = "Thu, 01 Jan 1970 00:00:00 GMT"
end

-- "Sunday, November 22, 2026 1:44:28 AM UTC": a localized form, not RFC 1123.
local function date()
  local t = ngx.time()
  local text = os.date("!%A, %B %d, %Y %I:%M:%S %p UTC", t)
  return (text:gsub(" 0(%d)", " %1"))
end

local METHODS = "POST, GET, OPTIONS, PUT, HEAD, DELETE"

-- Proxied replies carry Date and CORS headers twice, with and without blanks.
local function common_headers(doubled)
  local h, now = ngx.header, date()
  h["Date"], h["Server"] = now, ""
  if doubled then
    ngx.var.second_date = now
    h["Access-Control-Allow-Origin"] = { "*", "*" }
    h["Access-Control-Allow-Credentials"] = { "true", "true" }
    h["Access-Control-Allow-Headers"] = { "authorization,Content-Type",
      "authorization,Content-Type" }
    h["Access-Control-Allow-Methods"] = { METHODS, (METHODS:gsub(" ", "")) }
  else
    h["Access-Control-Allow-Origin"] = "*"
    h["Access-Control-Allow-Credentials"] = "true"
    h["Access-Control-Allow-Headers"] = "authorization,Content-Type"
    h["Access-Control-Allow-Methods"] = METHODS
  end
end

-- settings.cut: how many bytes of this reply go out before its connection ends; false: all.
local function cut_after()
  local cut = settings.cut
  if type(cut) ~= "table" or not ngx.var.uri:find(cut.path or "") or cut.times == 0 then
    return false
  end
  if cut.times then
    cut.times = cut.times - 1
    settings.set("cut", cut)
  end
  return cut.after or 0
end

---Writes a piece of a body.
function M.print(piece)
  local left = ngx.ctx.cut_left
  if left == nil then left = cut_after() end
  ngx.ctx.cut_left = left and left - #piece
  if not left or left >= #piece then return ngx.print(piece) end
  ngx.print(piece:sub(1, left))
  ngx.flush(true)
  return ngx.exit(444)
end

---Writes a body, chunked; with a length for HEAD and where `length` is asked.
function M.send(code, body, length)
  ngx.status = code
  if length or ngx.req.get_method() == "HEAD" then ngx.header["Content-Length"] = #body end
  if body == "" then return ngx.send_headers() end
  M.print(body)
end

---An envelope as text.
function M.envelope(method, status, message, data)
  return json.encode {
    method = method or json.null, status = status, message = message or "OK", data = data or {},
  }
end

---An envelope made by the gateway itself.
---@param http integer? HTTP code; by the status when absent
function M.gateway(method, status, message, data, http)
  common_headers(false)
  ngx.header["Content-Type"] = "application/json;charset=UTF-8"
  M.send(http or http_of[status] or 500, M.envelope(method, status, message, data))
end

---An envelope of a back end, passed on by the gateway.
function M.backend(method, status, message, data)
  if ngx.ctx.publish and status == 0 then method, message, data = ngx.ctx.publish(method, data) end
  common_headers(true)
  ngx.header["Content-Type"] = "application/json;charset=utf-8"
  if ngx.req.get_method() == "HEAD" then
    dead_cookie()
  end
  M.send(http_of[status] or 500, M.envelope(method, status, message, data))
end

---Headers of a back end's stream; the caller prints the body. Spreadsheets and errors have lost the
---back end's own headers by a reset, CSV has not.
---@param whole boolean? both sets of headers
function M.stream(content_type, disposition, whole)
  common_headers(whole == true)
  ngx.header["Content-Type"] = content_type
  ngx.header["Content-Disposition"] = disposition
  ngx.status = 200
end

local HTML = "<html><body><h1>Whitelabel Error Page</h1><p>This application has no explicit"
  .. " mapping "
  .. "for /error, so you are seeing this as a fallback.</p><div id='created'>%s</div><div>There"
    .. " was "
  .. "an unexpected error (type=%s, status=%d).</div></body></html>"

local function boot_html(code)
  ngx.header["Content-Type"] = "text/html;charset=utf-8"
  ngx.header["Content-Language"] = "en"
  dead_cookie()
  M.send(code, HTML:format(os.date("!%a %b %d %H:%M:%S UTC %Y", ngx.time()), reasons[code], code),
    true)
end

local function wants_html()
  local accept = ngx.req.get_headers()["accept"] or ""
  if type(accept) == "table" then accept = table.concat(accept, ",") end
  return accept:find("text/html", 1, true) ~= nil
end

---Boot's own error body (protocols 1.4).
---@param allow string? the Allow header of a 405
function M.boot(code, allow)
  common_headers(true)
  ngx.header["Cache-Control"] = "must-revalidate,no-cache,no-store"
  ngx.header["Allow"] = allow
  if wants_html() then return boot_html(code) end
  ngx.header["Content-Type"] = "application/json"
  M.send(code, json.encode {
    timestamp = math.floor(ngx.now() * 1000), status = code, error = reasons[code] or "Error",
    path = ngx.var.uri,
  })
end

-- nginx leaves a header out when it was set and then emptied.
local function without(name)
  ngx.header[name] = "x"
  ngx.header[name] = ""
end

---The gateway's error attributes: `data` is an array (protocols 1.5); before 1.5 Boot's.
function M.infrastructure(code, path)
  ngx.header["Content-Type"] = "application/json"
  ngx.header["Server"] = ""
  without "Date"
  local message = reasons[code] or "Error"
  local body
  if versions.profile().gateway_json then
    if code >= 500 then
      common_headers(false)
      message = message .. ", with request path:" .. path
    end
    body = { method = path, status = code, message = message, data = json.array() }
  else
    body = { timestamp = math.floor(ngx.now() * 1000), path = path, status = code, error = message,
      message = json.null, requestId = "sandbox-1" }
  end
  M.send(code, json.encode(body), true)
end

---The gateway's empty reply: a length and nothing else.
function M.empty(code)
  ngx.header["Server"] = ""
  without "Date"
  without "Content-Type"
  M.send(code, "", true)
end

---A back end's reply without a body.
function M.nothing(code)
  common_headers(false)
  dead_cookie()
  without "Content-Type"
  M.send(code, "", true)
end

---A back end's answer to OPTIONS.
function M.options()
  common_headers(true)
  dead_cookie()
  without "Content-Type"
  ngx.header["Allow"] = "GET,HEAD,OPTIONS"
  M.send(200, "", true)
end

-- What controllers raise; `M.raised` turns it into the aspect's envelope.
local raised_mt = {}

local function desc_of(service, code, desc)
  return { errCode = code, desc = desc, ip = "127.0.0.1", port = service.port, level = 2,
    serviceKind = service.name }
end

---Raises an ErrorException with a code.
function M.fail(service, code, desc)
  service = M.services[service]
  error(setmetatable({ status = 1, data = { errorMsg = desc_of(service, code, desc) },
    message = ("error code(错误码): %d, error message(错误信息): %s."):format(code, desc),
    text = ("errCode: %d ,desc: %s ,ip: 127.0.0.1 ,port: %d ,serviceKind: %s")
      :format(code, desc, service.port, service.name) }, raised_mt), 0)
end

---Raises a WarnException: status 4, HTTP 206.
function M.warn(service, code, desc)
  service = M.services[service]
  error(setmetatable({ status = 4, data = { errorMsg = desc_of(service, code, desc) },
    message = ("Warning code(警告码): %d, Warning message(警告信息): %s."):format(code, desc) },
    raised_mt), 0)
end

---Raises any other Java exception.
function M.java(service, class, text)
  local message = ("operation failed(操作失败)s！the reason(原因)：%s: %s"):format(class, text)
  error(setmetatable({ status = 1, message = message, text = text, class = class,
    data = { errorMsg = desc_of(M.services[service], 0, message) } }, raised_mt), 0)
end

---Raises Boot's refusal of the request (400, 415).
function M.refuse(code)
  error(setmetatable({ boot = code }, raised_mt), 0)
end

---Raises a plain Message.error of a controller.
function M.message(method, text, data)
  error(setmetatable({ status = 1, method = method, message = text, data = data or {} },
    raised_mt), 0)
end

---True for what the functions above raise.
function M.is_raised(err) return getmetatable(err) == raised_mt end

---Answers with what was raised.
function M.raised(err)
  if err.boot then return M.boot(err.boot) end
  M.backend(err.method, err.status, err.message, err.data)
end

return M
