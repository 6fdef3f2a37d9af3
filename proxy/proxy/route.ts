/** Which cluster a path belongs to: the first route, in the order of the config, whose prefix it has. */

import type { Cluster } from './cluster.ts';
import type { RouteTimeouts } from './request-clock.ts';

export interface Route {
  readonly prefix: string;
  readonly cluster: Cluster;
  /** Undefined where the route sets none, as most do. */
  readonly timeouts: RouteTimeouts | undefined;
}

/** `/orders` matches `/orders` and `/orders/7` and not `/orders2`; `/` matches everything. */
export function matchRoute(routes: readonly Route[], path: string): Route | undefined {
  for (const route of routes) {
    if (hasPrefix(path, route.prefix)) return route;
  }
  return undefined;
}

/**
 * Whether the path has a segment `.` or `..`, encoded or not. A server behind us may resolve it, and
 * would then serve another path than the one that was routed.
 */
export function hasDotSegment(path: string): boolean {
  // Nearly every path is done with here.
  if (!path.includes('/.') && !path.includes('%')) return false;
  return /\/(?:\.|%2e){1,2}(?:$|[/\\;]|%2f|%5c)/i.test(path);
}

function hasPrefix(path: string, prefix: string): boolean {
  // The asterisk of OPTIONS is no path; only the route for everything takes it.
  if (prefix === '/') return true;
  if (!path.startsWith(prefix)) return false;
  return prefix.endsWith('/') || path.length === prefix.length || path[prefix.length] === '/';
}
