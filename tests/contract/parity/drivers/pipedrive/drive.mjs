// Every operation of ours through Pipedrive's own client; prints each name when it is done and waits for a line.
import { createInterface } from "node:readline";
import { v1, v2 } from "pipedrive";

const url = process.argv[2];
const c1 = new v1.Configuration({ apiKey: "a-token", basePath: `${url}/api/v1` });
const c2 = new v2.Configuration({ apiKey: "a-token", basePath: `${url}/api/v2` });
const key = "946947d1b02fd3ef20798d6112ec5d895a686a21";
const persons = new v2.PersonsApi(c2);
const deals = new v2.DealsApi(c2);
const organizations = new v2.OrganizationsApi(c2);

const oauth = new v2.OAuth2Configuration({
  clientId: "an id:1",
  clientSecret: "s3cret",
  redirectUri: "https://example.com/",
  host: url,
});
oauth.refreshToken = "r-1";

const operations = {
  create: () =>
    persons.addPerson({
      AddPersonRequest: {
        name: "Zoë O'Neil",
        emails: [{ value: "zoe@example.com", primary: true }],
        org_id: 7,
        custom_fields: { [key]: "e-1" },
      },
    }),
  update: () =>
    persons.updatePerson({
      id: 42,
      UpdatePersonRequest: { name: "Zoë", custom_fields: { [key]: "e-1" } },
    }),
  delete: () => persons.deletePerson({ id: 42 }),
  by_ids: () => persons.getPersons({ ids: "42,43", limit: 2, custom_fields: key }),
  newest: () => persons.getPersons({ sort_by: "id", sort_direction: "desc", limit: 500, custom_fields: key }),
  newest_onward: () =>
    persons.getPersons({ sort_by: "id", sort_direction: "desc", limit: 500, cursor: "c=1&2", custom_fields: key }),
  changed: () =>
    persons.getPersons({
      updated_since: "2026-01-31T10:00:00Z",
      sort_by: "update_time",
      sort_direction: "asc",
      limit: 200,
      custom_fields: key,
    }),
  search: () =>
    new v2.ItemSearchApi(c2).searchItemByField({ term: "e 1/'&?", entity_type: "person", match: "exact", field: key }),
  recents: () =>
    new v1.RecentsApi(c1).getRecents({ since_timestamp: "2026-01-31 10:00:00", items: "person", start: 0, limit: 500 }),
  fields: () => new v2.PersonFieldsApi(c2).getPersonFields({ limit: 500 }),
  create_field: () =>
    new v2.PersonFieldsApi(c2).addPersonField({
      AddPersonFieldRequest: { field_name: "headwater_id", field_type: "varchar" },
    }),
  create_long_field: () =>
    new v2.DealFieldsApi(c2).addDealField({
      AddDealFieldRequest: { field_name: "headwater_note", field_type: "text" },
    }),
  create_organization: () =>
    organizations.addOrganization({
      AddOrganizationRequest: { name: "Acme", address: { value: "1 Wharf Street" }, custom_fields: { [key]: "e-1" } },
    }),
  update_deal: () =>
    deals.updateDeal({
      id: 9,
      UpdateDealRequest: { value: 12.5, expected_close_date: "2026-01-31", custom_fields: { [key]: "e-1" } },
    }),
  who: () => new v1.UsersApi(c1).getCurrentUser(),
  refresh: () => oauth.tokenRefresh(),
};

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
for (const [name, run] of Object.entries(operations)) {
  await run();
  console.log(name);
  await lines.next();
}
process.exit(0);
