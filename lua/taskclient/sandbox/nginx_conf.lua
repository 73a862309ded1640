-- The configuration that the sandbox's nginx runs with. Text in, text out.
--
-- A web page can make its own name lead to 127.0.0.1 (DNS rebinding) and would then be allowed to
-- read what the sandbox answers: only the names of this machine are served. The port is left open,
-- because a tunnel or a proxy of a test changes it and a page cannot gain anything by it. A form
-- that another site's page sends to Lindorm's face, which asks for no password, is known by its
-- Origin.

local M = {}

local template = [[
$modules
daemon off;
master_process off;
worker_processes 1;
pid "$dir/nginx.pid";
error_log "$dir/error.log" warn;
events { worker_connections 4096; }
http {
  access_log off;
  server_tokens off;
  default_type application/octet-stream;
  client_max_body_size 128m;
  client_body_buffer_size 1m;
  keepalive_timeout 300s;
  keepalive_requests 1000000;
  reset_timedout_connection on;
  client_body_temp_path "$dir/tmp/body";
  proxy_temp_path "$dir/tmp/proxy";
  fastcgi_temp_path "$dir/tmp/fastcgi";
  uwsgi_temp_path "$dir/tmp/uwsgi";
  scgi_temp_path "$dir/tmp/scgi";
  underscores_in_headers on;
  merge_slashes off;
  lua_package_path "$lua_path;;";
  lua_socket_log_errors off;
  init_worker_by_lua_block {
    require("taskclient.sandbox.face").init("$dir")
    require("taskclient.sandbox.face.lindorm").init("$dir")
  }
  map $http_origin $stranger {
    default 1;
    "" 0;
    "~^https?://(127[.]0[.]0[.]1|([a-z0-9-]+[.])*localhost|\[::1\])(:[0-9]+)?$" 0;
  }
  server {
    listen 127.0.0.1:$port backlog=4096 default_server;
    listen 127.0.0.1:$lindorm_port backlog=4096 default_server;
    server_name _;
    default_type text/plain;
    return 421 "The sandbox answers to 127.0.0.1 and localhost only.\n";
  }
  server {
    listen 127.0.0.1:$port;
    server_name $names;
    set $second_date "";
    add_header Date $second_date always; # proxied replies carry two (protocols 1.6)
    location / {
      set $second_date "";
      add_header Date $second_date always;
      content_by_lua_block { require("taskclient.sandbox.face").handle() }
    }
  }
  server {
    listen 127.0.0.1:$lindorm_port;
    server_name $names;
    if ($stranger) { return 403; }
    location / { content_by_lua_block { require("taskclient.sandbox.face.lindorm").handle() } }
  }
}
]]

---@param found table what nginx.find() answered
---@param values table dir, port, lindorm_port, root (folder that holds taskclient/)
---@return string
function M.text(found, values)
  local load = {}
  for i, path in ipairs(found.load) do load[i] = ('load_module "%s";'):format(path) end
  local fields = {
    second_date = "$second_date",
    names = '127.0.0.1 localhost *.localhost [::1] ""',
    modules = table.concat(load, "\n"), dir = values.dir,
    port = values.port, lindorm_port = values.lindorm_port,
    lua_path = found.lua_path .. values.root .. "?.lua;" .. values.root .. "?/init.lua",
  }
  return (template:gsub("%$([%a_]+)", fields))
end

return M
