-- A nightly load that may be killed at any moment and started again: extract with Linkis,
-- check, load with Lindorm. Servers: TASKCLIENT_LINKIS_URL, _USER, _PASSWORD and
-- TASKCLIENT_LINDORM_URL; LANDING is the folder Lindorm knows as "landing". Argument: the day.
local taskclient = require "taskclient"
local day, folder = arg[1] or os.date "%Y-%m-%d", os.getenv "LANDING" or "."
local linkis, lindorm = assert(taskclient.linkis()), assert(taskclient.lindorm())
local run <close> = assert(taskclient.journal(("%s/nightly-%s.run"):format(folder, day)))

local function done(job)
  local state, _, err = assert(job:wait { on_progress = taskclient.progress.bar() })
  assert(state == "succeeded", err)
end

local orders = [[with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000)
  select i as id, 'no ' || (i % 7) as customer, i * 1.5 as amount from n where '${day}' > '2000']]
local extract = assert(run:submit("extract", linkis,
  { code = orders, run_type = "sql", engine = "spark-3.2.1", variables = { day = day } }))
done(extract)
local path = folder .. "/orders-" .. day
assert(run:step("save", function()
  assert(os.execute("mkdir -p '" .. path .. "'"))
  return extract:results()[1]:save(path .. "/orders.csv", { overwrite = true, header = false })
end))
assert(run:step("check", function()
  local lines = 0
  for _ in io.lines(path .. "/orders.csv") do lines = lines + 1 end
  return lines == 1000 or nil, "1000 orders expected, got " .. lines
end))

local load = assert(run:submit("load", lindorm, {
  src = "landing", dst = "ld", file_type = "CSV", instances = 1,
  reader = { filePath = "orders-" .. day .. "/", column = { "id", "customer", "amount" } },
  writer = { namespace = "default", lindormTable = "orders",
    columns = { "ROW||String", "f:customer||String", "f:amount||Double" } } }))
done(load)
run:close()
assert(run:html(("%s/nightly-%s.html"):format(folder, day)))
print(run:table())
