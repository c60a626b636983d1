// Where the sidecar listens.

/** The variable of the environment that says where. */
export const ADDRESS = "DANUBE_SIDECAR_ADDRESS";

const TCP = /^http:\/\/(\[[0-9A-Fa-f:.]+\]|[^\s/:?#@[\]]+):(\d{1,5})\/?$/;
const UNIX = /^unix:(?:\/\/)?(\/[^/].*)$/;

/**
 * What gRPC calls this address.
 *
 * Throws where the address is neither `http://HOST:PORT` nor `unix:///PATH` nor `unix:/PATH`.
 */
export function targetOf(address: string): string {
  const path = UNIX.exec(address)?.[1];
  if (path !== undefined) return `unix:${path}`;
  const [, host, port] = TCP.exec(address) ?? [];
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw new Error(`${ADDRESS} is "${address}": expected http://HOST:PORT or unix:///PATH`);
  }
  return `dns:${host}:${port}`;
}
