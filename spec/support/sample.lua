-- What valgrind watches (`make memcheck`): a few exchanges of each kind, good
-- and bad, then everything closed or left to the collector; and a day on the
-- sandbox, from the login to the loaded rows.

package.path = "./?.lua;" .. package.path

local fault = require "spec.support.fault"
local process = require "spec.support.process"
local wire = require "spec.support.wire"

local fs = fault.start()
local big = {}
for i = 1, 200 do big[i] = { taskID = i, status = "Running", note = ("x"):rep(i) } end

fs:script {
  { match = "/submit", times = 3, reply = fault.linkis(wire.ACCEPTED) },
  { match = "/submit", { "read" }, { "rst" } },
  { match = "/list", reply = fault.linkis { tasks = big, totalPage = #big } },
  { match = "/1/get", { "read" }, { "send", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{" },
    { "fin" } },
  { match = "/2/get", reply = fault.http(502, "<html>bad gateway</html>") },
  { match = "/3/get", reply = fault.http(200, ("["):rep(5000)) },
  default = { { "stall" } },
}

local client = wire.linkis(fs.url, { session = true })
for _ = 1, 4 do wire.submit(client) end
assert(wire.call(client, "list", {}))
for id = 1, 3 do assert(not wire.call(client, "get", { id = tostring(id) })) end
assert(not wire.call(client, "get", { id = "4" }, { timeout = 0.2 }))

local cancelled = client:start("get", { id = "5" })
wire.core.step(0)
cancelled:cancel()
client:start("get", { id = "6" })
collectgarbage()
collectgarbage()
wire.core.step(0)

local left = wire.linkis(fs.url)
left:start("get", { id = "7" })
client:close()
client:close()
fs:stop()

-- ---- end to end ----

local taskclient = require "taskclient"
local folder = process.tempdir()
local box = assert(require("taskclient.sandbox").start {
  lindorm = { sources = { landing = folder }, create_tables = true },
})
local linkis = assert(taskclient.linkis { url = box.url, user = box.user, password = box.password })

local function submit(code, kind)
  return assert(linkis:submit { code = code, run_type = kind or "sql",
    engine = kind == "shell" and "shell-1" or "spark-3.2.1" })
end

local SQL = "select 1 as id, 'a \"b\"' as name union all select 2, null; select 'x' as y"
local job = submit(SQL)
assert(job:wait { timeout = 60, poll = 0.1 } == "succeeded")
for line in job:logs() do assert(line) end
for _, set in ipairs(assert(job:results())) do
  for row in set:rows { typed = true } do assert(#row > 0) end
end
os.execute("mkdir " .. folder .. "/in")
assert(assert(job:results())[1]:save(folder .. "/in/rows.csv", { header = false }) == 2)

local broken = submit "select * from nowhere"
assert(broken:wait { timeout = 60, poll = 0.1 } == "failed" and broken:error())
local long = submit("sleep 60", "shell")
assert(long:abort())
assert(long:wait { timeout = 60, poll = 0.1 } == "cancelled")
local wrong = assert(taskclient.linkis { url = box.url, user = "hadoop", password = "wrong" })
local _, err = wrong:submit { code = "x", run_type = "sql", engine = "spark-3.2.1" }
assert(err.kind == "auth")

local lindorm = assert(taskclient.lindorm { url = box.lindorm_url })
local load_job = assert(lindorm:submit {
  src = "landing", dst = "warehouse", file_type = "CSV", instances = 1,
  reader = { filePath = "in/", column = { "id|bigint", "name|string" } },
  writer = { namespace = "default", lindormTable = "t", columns = { "id", "name" } },
})
assert(load_job:wait { timeout = 60, poll = 0.1 } == "succeeded", tostring(load_job:error()))
linkis:close()
box:stop()
os.execute("rm -rf " .. process.quote(folder))
print "sample: done"
