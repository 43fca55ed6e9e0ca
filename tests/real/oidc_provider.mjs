// A real OpenID Connect provider for tests: npm's oidc-provider, with what tests change at a control address.
// Usage: node oidc_provider.mjs PORT CONTROL_PORT [KEY CERTIFICATE]; POST JSON to the control address.
import http from "node:http";
import https from "node:https";
import { readFileSync } from "node:fs";
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const [port, controlPort, key, certificate] = process.argv.slice(2);
const issuer = `${key ? "https" : "http"}://127.0.0.1:${port}`;
const now = Date.now.bind(Date);

const state = {
  accounts: {},          // sub -> claims
  client: {},            // what is registered for the portal
  scopes: ["openid", "profile", "email", "offline_access"],
  clock_s: 0,            // by how much this provider's clock is ahead
  key: 0,                // the number of the signing key
  delay_s: 0,            // before each answer
  down: false,           // closes every connection
  userinfo: null,        // what userinfo says instead
  lifetimes_s: { AccessToken: 600, RefreshToken: 86400 },
};
Date.now = () => now() + state.clock_s * 1000;
const seen = [];         // what the portal sent
const issued = [];       // what must stay secret
const keys = [];
const stores = new Map();
let callback;

function keyOf(number) {
  keys[number] ??= {
    ...generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
    use: "sig", alg: "RS256", kid: `key-${number}`,
  };
  return keys[number];
}

// All that is stored outlives a change of the configuration.
class Store {
  constructor(name) {
    if (!stores.has(name)) stores.set(name, new Map());
    this.entries = stores.get(name);
  }
  async upsert(id, payload) { this.entries.set(id, payload); }
  async find(id) { return this.entries.get(id); }
  async findByUid(uid) { return [...this.entries.values()].find((entry) => entry.uid === uid); }
  async findByUserCode() { return undefined; }
  async consume(id) { this.entries.get(id).consumed = Math.floor(Date.now() / 1000); }
  async destroy(id) { this.entries.delete(id); }
  async revokeByGrantId(grantId) {
    for (const entries of stores.values())
      for (const [id, entry] of entries) if (entry.grantId === grantId) entries.delete(id);
  }
}

function rebuild() {
  const provider = new Provider(issuer, {
    adapter: Store,
    clients: [{
      client_id: "beamhub", client_secret: "not-set", redirect_uris: [`${issuer}/nowhere`],
      grant_types: ["authorization_code", "refresh_token"], token_endpoint_auth_method: "client_secret_post",
      ...state.client,
    }],
    jwks: { keys: [keyOf(state.key)] },
    scopes: state.scopes,
    claims: {
      openid: ["sub", "groups", "realm_access", "home", "email_verified"],
      profile: ["preferred_username", "name"], email: ["email"],
    },
    findAccount: (_, sub) => state.accounts[sub] && {
      accountId: sub, claims: async () => ({ sub, ...state.accounts[sub] }),
    },
    cookies: { keys: ["for tests"] },
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    ttl: { ...state.lifetimes_s, Session: 86400, Grant: 86400, IdToken: 600, Interaction: 600 },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async (_, client, code) => client.grantTypeAllowed("refresh_token") && code.scopes.has("offline_access"),
    loadExistingGrant: async (ctx) => {
      // Consent isn't what is tested: whoever has logged in has given it.
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope(state.scopes.join(" "));
      await grant.save();
      return grant;
    },
  });
  provider.proxy = true;
  provider.on("grant.success", ({ body: given }) =>
    issued.push(...[given.access_token, given.refresh_token, given.id_token].filter(Boolean)));
  const answer = provider.callback();
  callback = async (request, response) => {
    const interaction = request.url.match(/^\/interaction\/[\w-]+$/);
    if (!interaction) return answer(request, response);
    if (request.method === "GET") {
      response.setHeader("content-type", "text/html");
      response.end(`<!doctype html><html lang="en"><title>Provider</title><h1>Provider</h1><form method="post"><label>Account <input name="account"></label><button>Sign in</button><button name="cancel" value="yes">Cancel</button></form></html>`);
      return undefined;
    }
    const form = new URLSearchParams(await body(request));
    const result = form.get("cancel")
      ? { error: "access_denied", error_description: "<b>cancelled</b>" }
      : { login: { accountId: form.get("account") } };
    return provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  };
}

async function body(request) {
  let text = "";
  for await (const part of request) text += part;
  return text;
}

async function serve(request, response) {
  if (state.down) return request.socket.destroy();
  if (state.delay_s) await new Promise((done) => setTimeout(done, state.delay_s * 1000));
  response.setHeader("date", new Date(Date.now()).toUTCString());
  seen.push(`${request.method} ${request.url}`);
  if (state.userinfo && request.url === "/me") {
    response.setHeader("content-type", "application/json");
    return response.end(JSON.stringify(state.userinfo));
  }
  return callback(request, response);
}

rebuild();
const server = key
  ? https.createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, serve)
  : http.createServer(serve);
server.listen(Number(port), "127.0.0.1");
http.createServer(async (request, response) => {
  if (request.method === "POST") {
    const { forget, ...wanted } = JSON.parse(await body(request));
    if (forget) stores.clear();
    Object.assign(state, wanted);
    rebuild();
  }
  response.end(JSON.stringify({ seen, issued }));
}).listen(Number(controlPort), "127.0.0.1", () => console.log("ready"));
