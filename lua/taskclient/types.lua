---@meta taskclient.core
-- For the language server and doc/api.md alone: the tables that callers hand over, and what the C
-- core gives clients and calls. Nothing requires this file.

-- luacheck: no unused args

local M = { Client = {}, Call = {} }

--- What both constructors take. Durations are seconds, sizes bytes.
---@class taskclient.client_options
---@field url string scheme, host, port, path prefix if there is one; no credentials
---@field user string|nil
---@field password string|fun(): string|nil text, or a function asked at each login; it may wait;
---  where it raises, or gives nil and a reason, that is an err of kind auth
---@field headers table|nil {name = value}, or {{name, value}, …}, sent with every request
---@field cookies table|string|nil sent with every request
---@field timeout number|nil of one request; else each operation has its own (60; a kill 240)
---@field connect_timeout number|nil
---@field idle_timeout number|nil seconds without a byte, after which a reply on its way is given
---  up (30); not for what may rightly be silent for long, as a submit
---@field max_body integer|nil largest reply kept in memory
---@field max_connections integer|nil most connections open at a time (256), in use or kept; `close`
---  closes them
---@field lossy boolean|nil a reply in which characters are broken (no UTF-8, half a surrogate pair)
---  is read with U+FFFD in their place; else it is an err of kind protocol
---@field host string|table|nil "plain", "loop", "nginx", "luv", "cqueues", "copas", or a table
---  with `await` and `sleep`; found by itself for the first three
---@field log function|table|nil fun(level, event): what happens, as `taskclient.printer()`
---  prints; "debug": each answer and repetition, "info": logins and what changes something,
---  "warn": what failed; what it raises is told once on stderr and decides nothing
---@field allow_plaintext boolean|nil false: a password, token, cookie or secret header over
---  http:// to another machine, or through a proxy on one, raises; 127.1 and ::1 are this one, no
---  name but localhost is
---@field proxy string|nil URL, or "env" for what the environment says; else none is used
---@field ca_file string|nil
---@field ca_path string|nil
---@field cert string|nil file of the client's own certificate
---@field key string|nil its key
---@field key_password string|nil
---@field insecure boolean|nil certificates are not checked; `tostring(client)` says so
---@field user_agent string|nil

--- What `taskclient.linkis` takes besides.
---@class taskclient.linkis_options: taskclient.client_options
---@field token string|fun(): string|nil instead of a password; goes into the token headers
---@field token_login boolean|nil the token opens a session instead
---@field proxy_user string|nil becomes this user after the login; job history goes on showing the
---  tasks of who logged in, so only an administrator sees hers there
---@field proxy_code string|nil the validation code for it
---@field execute_user string|nil who runs what is submitted, where the token may say so
---@field creator string|nil of what is submitted; default "taskclient"
---@field submit_timeout number|nil of a submit, its look-up included (1200)
---@field version string|nil as "1.4": pins what the server can do, which is else found out

--- What `taskclient.lindorm` takes besides; `user` and `password` are basic authentication here.
---@class taskclient.lindorm_options: taskclient.client_options
---@field states table|nil {word of the server = "queued", "running", "succeeded", "failed" or
---  "cancelled"}, where it has words of its own

--- A task for Linkis.
---@class taskclient.linkis_spec
---@field code string
---@field run_type string "sql", "hql", "shell", "python", "py", "scala", …
---@field engine string name and version, as "spark-3.2.1"
---@field creator string|nil default the client's; of letters, digits and `_`: under
---  others a server may lose results. Under "IDE" the server cuts SQL to 5,000 rows; it kills
---  tasks of "LINKISCLI" and "BdpClient" that nobody asks for: the client does that as long as
---  the job is held and anything is waited for
---@field user string|nil whose label it gets; default who is logged in
---@field execute_user string|nil
---@field variables table|nil replaces ${name} in the code; all values go out as text
---@field startup table|nil the engine's settings, as {["spark.executor.cores"] = 4}
---@field runtime table|nil settings of this task
---@field special table|nil
---@field source table|nil notes kept with the task; all values go out as text
---@field labels table|nil further labels
---@field key string|nil the submit's own name: the same key again gives the task that exists
---@field since number|nil no task with that key is older (Unix seconds; default a day ago)
---@field result_path string|nil folder of yours, with its scheme, as "hdfs:///tmp/ada"; each task
---  gets a folder of its own in it
---@field timeout number|nil of the submit, its look-up included (1200); a look-up has 15 s at least

--- A bulk load for Lindorm; doc/lindorm.md says more.
---@class taskclient.lindorm_spec
---@field src string the data source's name
---@field dst string the target's name
---@field reader table|string of `taskclient.lindorm.csv{…}` and the like, or as it is sent
---@field writer table|string of `taskclient.lindorm.table{…}`, or as it is sent
---@field instances integer executors
---@field file_type string|nil "CSV" or "Parquet"; known of a reader made here
---@field driver_spec string|nil "small", "medium", "large", "xlarge"
---@field spark string|table|nil additional Spark parameters
---@field spark_encode fun(spark: table): string|nil writes a table's text
---@field extra table|nil further form fields
---@field timeout number|nil

--- Begins one exchange and returns at once; the parameters stand under the server's own names.
---@param operation string
---@param args table|nil path, query and form parameters; `body`: JSON text
---@param opts table|nil timeout, max_body, pick, file, overwrite, method, fresh, as for `call`;
---  durable: a file is synced (default: not)
---@return userdata|nil call
---@return table|nil err
function M.Client:start(operation, args, opts) end

--- Whether an exchange could begin: what is wrong with its arguments raises, nothing is sent.
---@param operation string
---@param args table|nil
---@param opts table|nil
function M.Client:check(operation, args, opts) end

--- Ends the client: calls in flight end with kind `closed`. Jobs go on at the server. Also by
--- `<close>` and by the collector; may be called again.
function M.Client:close() end

--- Whether it is closed.
---@return boolean
function M.Client:closed() end

--- A text without this client's secrets.
---@param text string
---@return string
function M.Client:redact(text) end

--- Has one more secret kept out of errors and traces.
---@param secret string
---@param user string|nil a name that is no secret, though it equals this one
function M.Client:hide(secret, user) end

--- Replaces the `headers` of the constructor for exchanges started from now on.
---@param list table {{name, value}, …}
function M.Client:set_headers(list) end

--- Whether there are session cookies.
---@return boolean
function M.Client:has_session() end

--- Drops the session's cookies, here only.
function M.Client:forget_session() end

--- The names of the session's cookies; never their values.
---@return string[]
function M.Client:session_cookies() end

--- Whether the exchange has ended.
---@return boolean
function M.Call:done() end

--- What came, decoded as the operation's table says. Raises while in flight.
---@return any result nil on failure; with `pick` true, value, …
---@return any err
function M.Call:result() end

--- Ends it, with an err of kind `interrupted`.
function M.Call:cancel() end

--- `{http_status=, content_type=, disposition=, sent=, bytes=, seconds=, retry_after=, message=,
--- shape=}`.
---@return table
function M.Call:info() end

--- The server's time, from the reply's Date.
---@return number|nil time Unix seconds: the earliest moment that the text can mean (a zone's name
---  may mean several zones); nil: none, or a text of another form
---@return table|nil err
function M.Call:date() end

--- Bytes of the reply's body as far as it has come, also while it is in flight.
---@return integer|nil bytes
---@return table|nil err
function M.Call:bytes() end

--- The reply's text.
---@return string
function M.Call:body() end

--- Whether another reply is the same, but for one number in it (a page's).
---@param other userdata call
---@return boolean|nil same
---@return table|nil err
function M.Call:same(other) end

--- An openFile reply as `{type=, columns=, rows=, n=, prohibited=, message=}`.
---@param opts table|nil typed, records
---@return table|nil page
---@return table|nil err
function M.Call:page(opts) end

--- Frees the reply now; one in flight is cancelled.
function M.Call:close() end

return M
