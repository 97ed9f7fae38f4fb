// Java's own resolver of SRV records, JNDI. With the demo (`callsign serve --manifests zones/demo`):
//
//     java Lookup.java dns://127.0.0.1:5354 _tri._tcp.org.acme.greeter.default.rpc.cluster.local
//
// In a cluster, `dns:` without a server uses the system's resolver.

import java.util.Hashtable;
import javax.naming.Context;
import javax.naming.NamingException;
import javax.naming.directory.Attribute;
import javax.naming.directory.InitialDirContext;

class Lookup {
    public static void main(String[] args) throws NamingException {
        var environment = new Hashtable<String, String>();
        environment.put(Context.INITIAL_CONTEXT_FACTORY, "com.sun.jndi.dns.DnsContextFactory");
        environment.put(Context.PROVIDER_URL, args[0]);
        // The timeout of the first try in milliseconds, and the number of tries.
        environment.put("com.sun.jndi.dns.timeout.initial", "1000");
        environment.put("com.sun.jndi.dns.timeout.retries", "3");
        var resolver = new InitialDirContext(environment);
        for (var type : new String[] {"SRV", "TXT"}) {
            Attribute records = resolver.getAttributes(args[1], new String[] {type}).get(type);
            if (records == null) {
                System.out.println(type + ": none"); // the name exists and has no ready endpoint
                continue;
            }
            for (var all = records.getAll(); all.hasMore(); ) {
                System.out.println(type + ": " + all.next());
            }
        }
        resolver.close();
    }
}
